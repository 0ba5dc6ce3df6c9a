"""What the real `roost` writes to a terminal over SSH, in bytes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.terminal import Terminal

NODES = 50
START_SECONDS, STEADY_FROM = 3.0, 6.0
UP_SECONDS = 20


class TerminalBytes(NamedTuple):
    """Bytes in the first 3 s, and bytes a second from second 6 on; and the last screen."""

    start: int
    steady_per_second: float
    screen: str


@contextlib.contextmanager
def changing_fleet(changes: int, *, nodes: int = NODES, seed: int = 1) -> Iterator[Path]:
    """Nodes in a process of their own in which so many cells change a second; the fleet file."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:
        command = [sys.executable, "-m", "tests.changing_fleet"]
        arguments = [folder, str(nodes), str(changes), str(seed)]
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            yield Path(process.stdout.readline().strip())
        finally:
            process.communicate("")


def roost_in_terminal(fleet: Path, *, columns: int = 80, lines: int = 24) -> Terminal:
    """`roost` as someone over SSH starts it, with an empty home."""
    home = fleet.parent / "home"
    home.mkdir(exist_ok=True)
    return Terminal(
        [Path(sys.executable).parent / "roost", "--fleet", fleet],
        columns=columns,
        lines=lines,
        env={
            "SSH_CONNECTION": "10.0.0.1 50000 10.0.0.2 22",
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_CONFIG_HOME": str(home / "config"),
        },
    )


def measure_terminal_bytes(changes: int, *, seconds: float = 10.0) -> TerminalBytes:
    """Start `roost` on 50 live nodes and count, `seconds` long from second 6 on."""
    with changing_fleet(changes) as fleet, roost_in_terminal(fleet) as terminal:
        terminal.wait_for(f"{NODES} live", UP_SECONDS)
        end = terminal.started + STEADY_FROM + seconds
        time.sleep(max(0.0, end - time.monotonic()))
        steady = terminal.bytes_between(terminal.started + STEADY_FROM, end)
        start = terminal.bytes_between(terminal.started, terminal.started + START_SECONDS)
        return TerminalBytes(start, steady / seconds, terminal.screen_text())
