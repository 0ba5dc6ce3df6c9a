"""The machine's figures at one moment, cheap enough for once a second."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from agent.host.disks import free_bytes
from agent.host.reading import reason_of
from agent.protocol.telemetry import HostSample

# statvfs may reach for a slow device, and disks do not fill within a second.
DISKS_EVERY = 10


class HostSampler:
    """Keeps /proc's files open and reads them again from the start. For one thread at a time."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._files: dict[str, int] = {}
        self._cpu_before: tuple[int, int] | None = None
        self._cpu_percent: float | None = None
        self._disks: dict[str, int] = {}
        self._disks_unknown: dict[str, str] = {}
        self._disks_asked: tuple[str, ...] = ()
        self._samples = 0

    def sample(self, disks: Iterable[str] = ()) -> HostSample:
        """The figures now; CPU is the share since the sample before. Never raises.

        Args:
            disks: Paths of the filesystems whose free bytes are wanted.
        """
        unknown: dict[str, str] = {}
        cpu = self._cpu(unknown)
        memory = self._memory(unknown)
        total = memory.get("MemTotal")
        available = memory.get("MemAvailable")
        swap_total, swap_free = memory.get("SwapTotal"), memory.get("SwapFree")
        return HostSample(
            cpu_percent=cpu,
            memory_total_bytes=total,
            memory_used_bytes=None if total is None or available is None else total - available,
            swap_used_bytes=(
                None if swap_total is None or swap_free is None else swap_total - swap_free
            ),
            load_1min=self._load(unknown),
            disk_free_bytes=self._free(disks, unknown),
            unknown=unknown,
        )

    def close(self) -> None:
        """Give the open files back; the next sample opens them again."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def _read(self, name: str, size: int) -> bytes:
        file = self._files.get(name)
        if file is None:
            file = os.open(self._root / "proc" / name, os.O_RDONLY | os.O_CLOEXEC)
            self._files[name] = file
        return os.pread(file, size, 0)

    def _cpu(self, unknown: dict[str, str]) -> float | None:
        try:
            # "cpu user nice system idle iowait irq softirq steal guest guest_nice", in ticks;
            # guest time is in user and nice already.
            line = self._read("stat", 256).partition(b"\n")[0]
            ticks = [int(word) for word in line.split()[1:9]]
        except (OSError, ValueError) as error:
            unknown["cpu_percent"] = _why(error)
            return None
        total, idle = sum(ticks), sum(ticks[3:5])
        before, self._cpu_before = self._cpu_before, (total, idle)
        if before is not None and total > before[0]:
            ran = total - before[0]
            # iowait may run backwards (proc(5)), so the share is kept within bounds.
            self._cpu_percent = min(100.0, max(0.0, 100 * (ran - idle + before[1]) / ran))
        if self._cpu_percent is None:
            unknown["cpu_percent"] = "not_ready"
        return self._cpu_percent

    def _memory(self, unknown: dict[str, str]) -> dict[str, int]:
        """Fields of /proc/meminfo in bytes."""
        found: dict[str, int] = {}
        reason = "not_reported"
        try:
            for line in self._read("meminfo", 4096).splitlines():
                name, _, value = line.partition(b":")
                if name in (b"MemTotal", b"MemAvailable", b"SwapTotal", b"SwapFree"):
                    found[name.decode()] = int(value.split()[0]) * 1024
        except (OSError, ValueError, IndexError) as error:
            reason = _why(error)
        for field, needs in (
            ("memory_total_bytes", ("MemTotal",)),
            ("memory_used_bytes", ("MemTotal", "MemAvailable")),
            ("swap_used_bytes", ("SwapTotal", "SwapFree")),
        ):
            if any(need not in found for need in needs):
                unknown[field] = reason
        return found

    def _load(self, unknown: dict[str, str]) -> float | None:
        try:
            return float(self._read("loadavg", 64).split()[0])
        except (OSError, ValueError, IndexError) as error:
            unknown["load_1min"] = _why(error)
            return None

    def _free(self, disks: Iterable[str], unknown: dict[str, str]) -> dict[str, int]:
        paths = tuple(disks)
        due = self._samples % DISKS_EVERY == 0 or paths != self._disks_asked
        self._disks_asked = paths
        self._samples += 1
        if due:
            free = {path: free_bytes(path, self._root) for path in paths}
            self._disks = {path: value for path, (value, _) in free.items() if value is not None}
            self._disks_unknown = {
                f"disk_free_bytes.{path}": reason for path, (_, reason) in free.items() if reason
            }
        unknown.update(self._disks_unknown)
        return dict(self._disks)


def _why(error: Exception) -> str:
    return reason_of(error) if isinstance(error, OSError) else "not_understood"
