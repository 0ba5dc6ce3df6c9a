"""What is on the terminal with the first paint, in a real pseudo-terminal."""

from __future__ import annotations

import sys

import pytest

from tests.terminal import Terminal

SYNC_END = b"\x1b[?2026l"


@pytest.mark.real
def test_the_first_frame_with_a_table_has_its_rows() -> None:
    """Not an empty table first, and the rows only with the next frame."""
    command = [sys.executable, "-m", "tests.console.tui.demo_app", "30", "0"]
    with Terminal(command, env={"SSH_CONNECTION": "10.0.0.1 50000 10.0.0.2 22"}) as terminal:
        terminal.wait_for("node-0000", 30)
        frames = terminal.output.split(SYNC_END)
        first = next(frame for frame in frames if b"NODE" in frame)
        assert b"node-0000" in first
        assert b"node-0009" in first
        assert b"30 nodes" in first
