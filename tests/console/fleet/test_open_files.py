"""Enough open files, or the need is said."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("limits", "nodes", "said"),
    [
        ((256, 4096), 1000, "None 2100"),
        ((256, 1000), 1000, "this fleet needs 2100 open files and 1000 are allowed"),
        ((4096, 4096), 1000, "None 4096"),
    ],
)
def test_the_limit_is_raised(limits: tuple[int, int], nodes: int, said: str) -> None:
    code = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, {limits})\n"
        "from console.fleet.inventory import NodeEntry\n"
        "from console.fleet.open_files import raise_open_files\n"
        f"entries = [NodeEntry(name=str(n), address='unix:///a') for n in range({nodes})]\n"
        "print(raise_open_files(entries), resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(said)
