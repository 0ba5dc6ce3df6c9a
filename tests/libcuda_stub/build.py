"""Compile the stub under the name that programs ask the linker for."""

from __future__ import annotations

import subprocess
from pathlib import Path

SONAME = "libcuda.so.1"


def build(folder: Path) -> Path:
    """The path of a libcuda.so.1 in `folder`, compiled if it is not there.

    A process sees it with the folder in LD_LIBRARY_PATH before it starts, or by its path.
    """
    made = folder / SONAME
    if not made.exists():
        flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-shared"]
        source = Path(__file__).with_name("stub.c")
        command = ["gcc", *flags, f"-Wl,-soname,{SONAME}", "-o", str(made), str(source)]
        subprocess.run(command, check=True)
    return made
