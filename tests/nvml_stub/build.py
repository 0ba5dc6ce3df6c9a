"""Compile the stub, and lay it out as a driver package does: a versioned file and its soname."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Literal

# "470" leaves out the symbols that drivers of that branch do not have.
Variant = Literal["current", "470"]
SOURCES = ("stub.c", "scenario.c")
SONAME = "libnvidia-ml.so.1"


class StubBuilder:
    """Builds each variant once into `folder`.

    pynvml asks the linker for the soname, so a process sees the stub either with the folder in
    LD_LIBRARY_PATH before it starts, or by loading the file itself first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def library(self, variant: Variant = "current", version: str = "580.159.04") -> Path:
        """The path of a libnvidia-ml.so.1 that leads to libnvidia-ml.so.VERSION.

        Each version is a file of its own (the loader tells libraries apart by inode).
        """
        place = self._folder / f"{variant}-{version}"
        link = place / SONAME
        if not link.exists():
            place.mkdir(parents=True)
            shutil.copy(self._compiled(variant), place / f"libnvidia-ml.so.{version}")
            link.symlink_to(f"libnvidia-ml.so.{version}")
        return link

    def _compiled(self, variant: Variant) -> Path:
        made = self._folder / f"stub-{variant}.so"
        if not made.exists():
            here = Path(__file__).parent
            flags = [
                *("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC", "-shared"),
                f"-Wl,-soname,{SONAME}",
                *(["-DDRIVER_470"] if variant == "470" else []),
            ]
            sources = [str(here / name) for name in SOURCES]
            subprocess.run(["gcc", *flags, "-o", str(made), *sources, "-lpthread"], check=True)
        return made
