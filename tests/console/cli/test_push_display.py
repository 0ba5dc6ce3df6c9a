"""What pushes show while they are under way."""

from __future__ import annotations

import io
import os

import pytest

from agent.protocol.jobs import Job
from console.cli.live_lines import NODES_SHOWN
from console.cli.push_display import PushDisplay, node_line, total_line
from console.images.push import PushState
from tests.emulator import Emulator


class Screen(io.StringIO):
    """Standard error on a terminal of 60x8."""

    def __init__(self) -> None:
        super().__init__()
        self.emulator = Emulator(60, 8)
        self.written: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.written.append(text)
        self.emulator.feed(text.replace("\n", "\r\n"))
        return len(text)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.emulator.lines_of_text() if line.strip()]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((60, 8)))
    return screen


def sending(node: str, done: int = 43) -> PushState:
    return PushState(
        node=node,
        stage="sending",
        done_bytes=done,
        total_bytes=100,
        sent_bytes=20,
        bytes_per_second=1.2 * 2**20,
        seconds_left=190.0,
    )


def job(**fields: object) -> Job:
    base = Job(id="0", kind="image.load", subject="s", state="running", owner="o", created_at=0.0)
    for name, value in fields.items():
        setattr(base, name, value)
    return base


async def test_only_what_changes_is_written(screen: Screen) -> None:
    display = PushDisplay(3, screen)
    left, right = sending("left"), sending("right-one")
    display.add(left)
    display.add(right)
    display.draw()
    assert screen.lines == [
        "left        43%   1.2 MiB/s    3m left",
        "right-one   43%   1.2 MiB/s    3m left",
        "0 of 3 nodes ended, 43% of 200 B, 2.4 MiB/s",
    ]
    screen.written.clear()
    display.draw()
    assert screen.written == []
    right.done_bytes = 44
    display.draw()
    assert screen.lines[1].startswith("right-one   44%")
    assert "left  " not in "".join(screen.written)
    left.stage = "done"
    display.draw()
    assert len(screen.lines) == 2
    assert screen.lines[1].startswith("1 of 3 nodes ended")


async def test_a_narrow_terminal_gets_no_line_that_wraps(screen: Screen) -> None:
    display = PushDisplay(20, screen)
    for number in range(20):
        state = sending(f"node-{number}")
        state.trouble = "the link is bad \x1b[31m" * 9
        display.add(state)
    display.draw()
    display.draw()
    assert len(screen.lines) <= 7
    assert all(len(line) < 60 for line in screen.lines)
    assert screen.lines[0].endswith("...")
    assert screen.lines[-2].startswith("and ")
    assert screen.lines[-1].startswith("0 of 20 nodes")
    assert "\x1b[31m" not in "".join(screen.written)
    assert NODES_SHOWN < 20


async def test_nothing_is_left_on_the_screen(screen: Screen) -> None:
    display = PushDisplay(1, screen)
    display.add(sending("left"))
    async with display:
        display.draw()
        assert screen.lines
    assert screen.lines == []


def test_what_a_node_is_at() -> None:
    state = PushState(node="a")
    assert node_line(state) == "a  connecting"
    state.stage, state.trouble = "sending", "a: no answer"
    assert node_line(state) == "a  trying again: a: no answer"
    state = PushState(node="a", stage="waiting", job=job(stage="loading", done=30, total=60))
    assert node_line(state) == "a  loading 50%"
    state.job = job(state="queued", reason="waits for job 1234")
    assert node_line(state) == "a  all sent; waits for job 1234"
    state.job = job(stage="receiving")
    assert node_line(state) == "a  all sent"


def test_the_total_says_when_it_is_known() -> None:
    state = sending("a")
    assert total_line([state], 1) == "0 of 1 node ended, 43% of 100 B, 1.2 MiB/s, 3m left"
    assert total_line([state], 2) == "0 of 2 nodes ended, 43% of 100 B, 1.2 MiB/s"
    assert total_line([], 2) == "0 of 2 nodes ended"
