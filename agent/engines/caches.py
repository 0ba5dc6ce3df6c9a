"""What TensorRT may use again in other builds: a folder for each TensorRT and GPU model."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

from agent.engines.plan_files import regular
from agent.engines.store import RUNTIME as RUNTIME_FOLDER
from agent.protocol.engines import Builder
from agent.protocol.gpus import Gpu
from agent.protocol.problems import ProblemError

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

    def seed(self, builder: Builder, gpu: Gpu | None, engine: Path) -> None:
        """Begin the runtime cache of an engine in that folder with what its trials compiled."""
        target = engine / RUNTIME_FOLDER
        target.mkdir(exist_ok=True)
        target.chmod(0o777)  # whoever an image runs as
        with contextlib.suppress(FileNotFoundError, ProblemError):
            source = self.folder(builder, gpu) / RUNTIME
            with regular(source) as file, (target / RUNTIME).open("xb") as out:
                shutil.copyfileobj(file, out)
            (target / RUNTIME).chmod(0o666)

    def prune(self) -> None:
        """Remove all but those that were written to last."""
        if not self._folder.is_dir():
            return
        found = sorted(self._folder.iterdir(), key=_changed_at, reverse=True)
        for old in found[KEEP_FOLDERS:]:
            shutil.rmtree(old, ignore_errors=True)


def _changed_at(folder: Path) -> float:
    return max([folder.lstat().st_mtime, *(each.lstat().st_mtime for each in folder.iterdir())])
