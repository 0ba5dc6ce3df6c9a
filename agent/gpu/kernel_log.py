"""The kernel log, for XIDs from before the agent's start and for GPUs that NVML cannot reach."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from agent.gpu.xids import XidLog, parse_line

RECORD_BYTES = 8192  # the kernel refuses to read a record into less
RECORDS_AT_ONCE = 200  # then the loop may do something else


class KernelLog:
    """Follows /dev/kmsg without a thread. Without the right to read it there is no history.

    `reason` says why it is not read: "no_permission", "not_supported", or None.
    """

    def __init__(self, path: Path, xids: XidLog) -> None:
        self._path, self._xids = path, xids
        self._file: int | None = None
        self.reason: str | None = None

    def start(self) -> None:
        """Open the log; what is in it already is read first."""
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except PermissionError:
            self.reason = "no_permission"
            return
        except OSError:
            self.reason = "not_supported"
            return
        try:
            asyncio.get_running_loop().add_reader(file, self._read)
        except OSError:  # a file that cannot be waited for
            os.close(file)
            self.reason = "not_supported"
            return
        self._file = file

    def stop(self) -> None:
        """Close it."""
        file, self._file = self._file, None
        if file is not None:
            asyncio.get_running_loop().remove_reader(file)
            os.close(file)

    def _read(self) -> None:
        if self._file is None:
            return
        for _ in range(RECORDS_AT_ONCE):
            try:
                record = os.read(self._file, RECORD_BYTES)
            except BlockingIOError:
                return
            except BrokenPipeError:  # older records were overwritten; the next read goes on
                continue
            except OSError:
                self.stop()
                return
            if not record:
                self.stop()
                return
            for line in record.decode(errors="replace").splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        """A record is "level,number,microseconds since boot,flags;message"."""
        head, separator, message = line.partition(";")
        fields = head.split(",")
        if not separator or "NVRM: Xid" not in message or len(fields) < 3:
            return
        if not fields[2].isdigit():
            return
        age = time.monotonic() - int(fields[2]) / 1e6
        event = parse_line(message, at=time.time() - age)
        if event is not None:
            self._xids.add(event, "kernel_log")
