"""What TensorRT may use again in other builds: a folder for each TensorRT and GPU model."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from agent.protocol.engines import Builder
from agent.protocol.gpus import Gpu

FOLDER = ".caches"
TIMING, RUNTIME = "timing.cache", "runtime.cache"
# Each new TensorRT begins a folder of its own.
KEEP_FOLDERS = 8
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.]+")


class Caches:
    """All methods block, and raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def folder(self, builder: Builder, gpu: Gpu | None) -> Path:
        """Anybody may write in it, whoever an image runs as; nobody else gets there."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made_for = f"{gpu.name}-{gpu.compute_capability}" if gpu else "no-gpu"
        name = _NOT_IN_NAMES.sub("-", f"{builder.flavour}-{builder.version}-{made_for}")
        place = self._folder / name
        place.mkdir(exist_ok=True)
        place.chmod(0o777)
        return place

    def prune(self) -> None:
        """Remove all but those that were written to last."""
        if not self._folder.is_dir():
            return
        found = sorted(self._folder.iterdir(), key=_changed_at, reverse=True)
        for old in found[KEEP_FOLDERS:]:
            shutil.rmtree(old, ignore_errors=True)


def _changed_at(folder: Path) -> float:
    return max([folder.lstat().st_mtime, *(each.lstat().st_mtime for each in folder.iterdir())])
