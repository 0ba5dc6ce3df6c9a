"""The pseudo-terminal that other tests stand on."""

from __future__ import annotations

import sys
import textwrap
import time

import pytest

from tests.terminal import IN_BAND_RESIZE, SYNC, Terminal

# Reads what the terminal answers, up to the last letter of a status report, raw and without echo.
_ASK = """
import os, sys, termios, tty
tty.setraw(0)
os.write(1, {query!r} + b"\\x1b[5n")
answer = b""
while not answer.endswith(b"\\x1b[0n"):
    answer += os.read(0, 1)
os.write(1, answer.removesuffix(b"\\x1b[0n").hex().encode() + b" done")
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (b"\x1b[?2026$p", b"\x1b[?2026;2$y"),
        (b"\x1b[?2048$p", b"\x1b[?2048;0$y"),
        (b"\x1b[c", b"\x1b[?62;22c"),
        (b"\x1b[2;3H\x1b[6n", b"\x1b[2;3R"),
        (b"\x1b]11;?\x07", b"\x1b]11;rgb:0000/0000/0000\x1b\\"),
    ],
)
def test_it_answers_as_terminals_do(query: bytes, answer: bytes) -> None:
    with Terminal(python(_ASK.format(query=query))) as terminal:
        terminal.wait_for(f"{answer.hex()} done")


def test_a_terminal_without_answers_stays_silent() -> None:
    with Terminal(python(_ASK.format(query=b"")), answers=False) as terminal:
        terminal.wait_for_bytes(b"\x1b[5n")
        terminal.send("\x1b[0n")
        terminal.wait_for("done")


def test_it_shows_what_was_written_and_types_keys() -> None:
    with Terminal(["/bin/cat"], columns=20, lines=5) as terminal:
        terminal.press("h", "é", "enter")
        terminal.wait_for("hé")
        assert terminal.screen_text().splitlines()[0] == "hé"
        assert terminal.emulator.columns == 20


def test_bytes_are_counted_by_time() -> None:
    with Terminal(["/bin/cat"]) as terminal:
        terminal.send("one\n")
        terminal.wait_for_bytes(b"one\r\none\r\n")
        between = time.monotonic()
        terminal.send("three\n")
        terminal.wait_for_bytes(b"three\r\nthree\r\n")
        assert terminal.bytes_between(terminal.started, between) == len(b"one\r\none\r\n")
        assert terminal.bytes_between(between, time.monotonic()) == len(b"three\r\nthree\r\n")


def test_a_new_size_reaches_the_command() -> None:
    script = """
        import os, signal
        def say(*_):
            print("size", *os.get_terminal_size(0), flush=True)
        signal.signal(signal.SIGWINCH, say)
        say()
        while True:
            signal.pause()
    """
    with Terminal(python(script), columns=90, lines=30) as terminal:
        terminal.wait_for("size 90 30")
        terminal.resize(100, 40)
        terminal.wait_for("size 100 40")
        assert terminal.emulator.columns == 100


def test_sizes_are_reported_in_band_to_who_asked() -> None:
    ask = python(_ASK.format(query=b"\x1b[?2048h"))
    with Terminal(ask, columns=90, lines=30, modes={SYNC: 2, IN_BAND_RESIZE: 2}) as terminal:
        report = b"\x1b[48;30;90;480;720t"
        terminal.wait_for(f"{report.hex()} done")


def test_a_stalled_terminal_reads_nothing() -> None:
    script = "print('ready'); input(); [print(n, 'x' * 60) for n in range(3000)]; print('the end')"
    with Terminal(python(script)) as terminal:
        terminal.wait_for("ready")
        terminal.stall()
        terminal.send("\n")
        time.sleep(0.3)
        assert b"2999" not in terminal.output
        assert terminal.process.poll() is None
        terminal.unstall()
        terminal.wait_for("the end")


def test_waiting_says_what_was_on_the_screen() -> None:
    with (
        Terminal(["/bin/echo", "something else"]) as terminal,
        pytest.raises(AssertionError, match=r"'wanted': ended with 0[\s\S]*something else"),
    ):
        terminal.wait_for("wanted")


def test_closing_ends_the_command() -> None:
    with Terminal(["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]) as held:
        held.wait_for("ready")
    assert held.process.returncode == -9
    held.close()


def test_the_exit_status_is_the_commands() -> None:
    with Terminal(["/bin/sh", "-c", "echo bye; exit 3"]) as terminal:
        assert terminal.wait_exit() == 3
        assert "bye" in terminal.screen_text()
