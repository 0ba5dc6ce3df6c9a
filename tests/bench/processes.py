"""What a process and its children use."""

from __future__ import annotations

import time

import psutil


class Usage:
    """CPU and memory of one process with all its children, between two moments."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self.restart()

    def restart(self) -> None:
        """Begin to count CPU time from now on."""
        self._started = time.monotonic()
        self._cpu = self._cpu_seconds()

    def cpu_percent(self) -> float:
        """Of one core, since the last `restart`."""
        return 100 * (self._cpu_seconds() - self._cpu) / (time.monotonic() - self._started)

    def rss_mib(self) -> float:
        """Resident memory now."""
        return sum(process.memory_info().rss for process in self._all()) / 2**20

    def _cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self._all())

    def _all(self) -> list[psutil.Process]:
        return [self._root, *self._root.children(recursive=True)]
