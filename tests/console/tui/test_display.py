"""The display, in a real pseudo-terminal: it shows what stock Textual shows, in fewer bytes."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.console.tui.sample_app import ACTIONS, OurApp
from tests.console.tui.twin import SETTLE_SECONDS, Settling, Twin, assert_equal, sample_app
from tests.terminal import IN_BAND_RESIZE, SYNC, Terminal

SIZES = ((80, 24), (200, 50), (40, 10))
CLEAR = b"\x1b[2J"
SYNC_START, SYNC_END = b"\x1b[?2026h", b"\x1b[?2026l"

# Cells with wide characters, emoji and combining marks (f1, f2), scrolling, a dialog with an input
# over it, another screen with a log, toasts, other themes, a shell while suspended.
TABLE = "f1 f2 down+down pagedown+down end up+pageup home"
DIALOG = "f3 7+7+left+backspace f1 f4"
LOG = "f5 f6+f6+f6 f6 f4"
APP = "f7 f1+pagedown f8+f2 f8 f9 f11 f10+f1"
EVERYTHING = [keys.split("+") for keys in f"{TABLE} {DIALOG} {LOG} {APP}".split()]

# Real processes in pseudo-terminals: each starts an interpreter and an app.
pytestmark = pytest.mark.real


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "stock.jsonl"


@pytest.fixture
def twin(record: Path) -> Iterator[Twin]:
    with Terminal(sample_app("twin", "--record", record)) as terminal:
        terminal.wait_for("0.0", SETTLE_SECONDS)
        yield Twin(terminal, record)


@pytest.mark.parametrize(
    ("theme", "size"),
    [
        ("ansi-dark", (80, 24)),
        ("ansi-dark", (200, 50)),
        ("textual-dark", (80, 24)),
        ("textual-dark", (40, 10)),
    ],
)
def test_every_step_shows_what_stock_textual_shows(
    theme: str, size: tuple[int, int], record: Path
) -> None:
    columns, lines = size
    command = sample_app("twin", "--theme", theme, "--record", record)
    with Terminal(command, columns=columns, lines=lines) as terminal:
        terminal.wait_for("column0", SETTLE_SECONDS)
        twin = Twin(terminal, record)
        twin.step()
        written = sum(twin.step(*keys) for keys in EVERYTHING)
        for size_now in (*SIZES, (7, 3)):
            written += twin.resize(*size_now)
        assert 0 < written < twin.stock_bytes / 2


def test_random_steps_show_what_stock_textual_shows(twin: Twin) -> None:
    keys = st.sampled_from([key for key in ACTIONS if key.startswith("f")])
    moves = st.sampled_from(["up", "down", "pageup", "pagedown", "home", "end", "7", "backspace"])
    steps = st.lists(
        st.lists(keys | moves, min_size=1, max_size=3) | st.sampled_from(SIZES), max_size=8
    )

    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps)
    def run(sequence: list[list[str] | tuple[int, int]]) -> None:
        twin.step("f10")
        for step in sequence:
            if isinstance(step, tuple):
                twin.resize(*step)
            else:
                twin.step(*step)

    run()


def test_two_processes_show_the_same() -> None:
    with (
        Terminal(sample_app("plain", "--theme", "nord")) as stock_terminal,
        Terminal(sample_app("ours", "--theme", "nord")) as terminal,
    ):
        stock, ours = Settling(stock_terminal), Settling(terminal)
        for each in (stock, ours):
            each.terminal.wait_for("0.0", SETTLE_SECONDS)
        for keys in EVERYTHING:
            stock.step(*keys)
            ours.step(*keys)
            assert_equal(terminal.emulator, stock_terminal.emulator, keys)
        stock.resize(60, 20)
        ours.resize(60, 20)
        assert_equal(terminal.emulator, stock_terminal.emulator, "resize")
        assert len(terminal.output) < len(stock_terminal.output) / 3


def test_nothing_is_written_while_nothing_differs(twin: Twin) -> None:
    twin.step("f1")
    assert twin.step() == 0
    # Stock Textual repaints the table when a cell is set to the value it has.
    before = twin.stock_bytes
    assert twin.step("ctrl+e") == 0
    assert twin.stock_bytes > before


def test_every_frame_is_in_sync_brackets_and_counted(twin: Twin) -> None:
    twin.step()
    start, counted = len(twin.terminal.output), twin.mark["bytes"]
    twin.step("f1")
    twin.step("pagedown", "f3")
    written = twin.terminal.output[start:].replace(b"\r\r\n", b"\r\n")  # the tty's ONLCR
    written = re.sub(rb"\x1b\].*?\x07", b"", written)  # our markers, Textual's pointer shapes
    assert written.startswith(SYNC_START)
    assert written.endswith(SYNC_END)
    assert SYNC_END + SYNC_START in written
    assert len(written) == twin.mark["bytes"] - counted


def test_a_terminal_that_does_not_know_sync_gets_no_brackets(record: Path) -> None:
    with Terminal(sample_app("twin", "--record", record), modes={}) as terminal:
        terminal.wait_for("0.0", SETTLE_SECONDS)
        Twin(terminal, record).step("f1", "pagedown")
        assert b"?2026h" not in terminal.output


def test_a_terminal_that_reports_its_size_in_band_is_not_painted_twice(record: Path) -> None:
    command = sample_app("twin", "--record", record)
    with Terminal(command, modes={SYNC: 2, IN_BAND_RESIZE: 2}) as terminal:
        terminal.wait_for("0.0", SETTLE_SECONDS)
        twin = Twin(terminal, record)
        twin.step()
        assert terminal.output.count(CLEAR) == 1
        twin.resize(100, 30)
        twin.step("pagedown")


def test_the_cursor_stays_where_input_methods_look_for_it(twin: Twin) -> None:
    for key in ("f3", "7", "7", "left"):
        twin.step(key)
        ours, stock = twin.terminal.emulator.cursor, twin.stock.cursor
        assert (ours.x, ours.y) == (stock.x, stock.y)


def test_a_screen_that_somebody_wrote_over_can_be_redrawn(twin: Twin) -> None:
    twin.step("f1")
    twin.terminal.emulator.feed("\x1b[5;5H\x1b[41mmessage from root")
    twin.step("f11")


def test_a_resize_to_the_same_size_paints_everything_again(twin: Twin) -> None:
    # Dragged back and forth faster than the signal is handled: the terminal has cut its lines.
    twin.step("f1")
    twin.terminal.emulator.feed("\x1b[m\x1b[3;20H\x1b[J")
    os.kill(twin.terminal.process.pid, signal.SIGWINCH)
    twin.step()


def test_after_a_shell_it_paints_everything_once(twin: Twin) -> None:
    twin.step("f1")
    start = len(twin.terminal.output)
    twin.step("f9")
    assert twin.terminal.output.count(CLEAR, start) == 1


def test_stopped_and_continued_it_paints_everything_again(twin: Twin) -> None:
    terminal = twin.terminal
    twin.step("f1")
    terminal.press("ctrl+z")
    process = psutil.Process(terminal.process.pid)
    terminal.wait_until(
        lambda: process.status() == psutil.STATUS_STOPPED, "stopped", SETTLE_SECONDS
    )
    terminal.emulator.feed("\x1b[m\x1b[2J\x1b[Huser@host$ ")
    os.kill(terminal.process.pid, signal.SIGCONT)
    twin.step("f1")


def test_a_stalled_link_blocks_nothing_and_gets_the_newest_picture(record: Path) -> None:
    command = sample_app("twin", "--record", record, "--tick", "0.01", "--changes", "400")
    with Terminal(command) as terminal:
        terminal.wait_for("column0", SETTLE_SECONDS)
        terminal.stall()
        # More than fit into the terminal's buffers and the writer's queue.
        seen = record.read_text().count("\n")
        terminal.wait_until(
            lambda: record.read_text().count("\n") > seen + 200, "200 frames", SETTLE_SECONDS
        )
        terminal.unstall()
        twin = Twin(terminal, record)
        twin.step("ctrl+t")
        assert twin.mark["left_out"] > 30


async def test_without_a_terminal_it_is_an_app_as_ever() -> None:
    app = OurApp("ansi-dark")
    async with app.run_test() as pilot:
        await pilot.press("f1", "f3")
        assert app.bytes_written == 0
