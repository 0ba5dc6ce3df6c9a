"""What the agent told of itself: systemd's journal has it, or else the memory of this run."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from agent.host.real_paths import ROOT, command_there
from agent.protocol.own_log import OwnLog

UNIT = "roost-agent.service"
KEPT_BYTES = 512 * 1024
JOURNAL_SECONDS = 10.0
_JOURNAL = (
    *("journalctl", f"--unit={UNIT}", "--quiet", "--no-pager", "--output=short-iso"),
    "--lines=20000",
)


class LogKeeper(logging.Handler):
    """Keeps the newest lines of this run, of at most KEPT_BYTES."""

    def __init__(self, environment: Mapping[str, str] = os.environ, *, root: Path = ROOT) -> None:
        """`environment` tells whether systemd took standard error for its journal.

        `root` is the machine's.
        """
        super().__init__()
        self._root = root
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._journal = "JOURNAL_STREAM" in environment
        self._lines: deque[str] = deque()
        self._bytes = 0
        self._dropped = False

    def emit(self, record: logging.LogRecord) -> None:
        # Formatting runs other people's code.
        try:
            lines = self.format(record).splitlines()
        except Exception:  # noqa: BLE001 - as logging's own handlers do
            self.handleError(record)
            return
        for line in lines:
            self._lines.append(line)
            self._bytes += len(line.encode()) + 1
        while self._bytes > KEPT_BYTES:
            self._bytes -= len(self._lines.popleft().encode()) + 1
            self._dropped = True

    async def read(self, limit: int) -> OwnLog:
        """The newest lines, of at most `limit` bytes."""
        why = "it does not run under systemd"
        if self._journal:
            lines, why = await _journal(self._root)
            if lines:
                return _bounded(OwnLog(source="journal", lines=lines), limit)
        kept = OwnLog(source="memory", reason=why, lines=list(self._lines), cut=self._dropped)
        return _bounded(kept, limit)


async def _journal(root: Path) -> tuple[list[str], str]:
    """Its lines, or why there are none."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command_there(_JOURNAL, root),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        return [], f"journalctl: {error.strerror}"
    try:
        said, complaints = await asyncio.wait_for(process.communicate(), JOURNAL_SECONDS)
    except asyncio.TimeoutError:
        process.kill()
        await process.wait()
        return [], f"journalctl did not answer in {JOURNAL_SECONDS:g} s"
    if process.returncode:
        last = complaints.decode(errors="replace").strip().splitlines() or ["no reason given"]
        return [], f"journalctl: {last[-1][:200]}"
    return said.decode(errors="replace").splitlines(), f"the journal has nothing of {UNIT}"


def _bounded(log: OwnLog, limit: int) -> OwnLog:
    taken: list[str] = []
    left = limit
    for line in reversed(log.lines):
        left -= len(line.encode()) + 1
        if left < 0:
            log.cut = True
            break
        taken.append(line)
    log.lines = taken[::-1]
    return log
