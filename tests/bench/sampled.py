"""What is looked at again and again while something else runs: disk, memory."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Any

import psutil


class Sampled:
    """Looks again and again while the block runs."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.look()

    def look(self) -> None:
        raise NotImplementedError

    def _look_on(self) -> None:
        while not self._over.wait(0.1):
            self.look()


class PeakDisk(Sampled):
    """The most that folders took on disk, beyond what they took before."""

    def __init__(self, *folders: Path) -> None:
        super().__init__()
        self._folders = folders
        self._before = self._used()
        self.bytes = 0

    def look(self) -> None:
        self.bytes = max(self.bytes, self._used() - self._before)

    def _used(self) -> int:
        return sum(_used(folder) for folder in self._folders if folder.exists())


class MemoryGrowth(Sampled):
    """By how much a process grew at most."""

    def __init__(self, pid: int) -> None:
        super().__init__()
        self._process = psutil.Process(pid)
        self._before = self._process.memory_info().rss
        self.growth_mib = 0.0

    def look(self) -> None:
        grown = self._process.memory_info().rss - self._before
        self.growth_mib = max(self.growth_mib, grown / 2**20)


def _used(folder: Path) -> int:
    """Bytes on disk below a folder; files that go meanwhile count as gone."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    total += _used(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total
