"""Runs a command in a real pseudo-terminal, answers it as a terminal does, keeps its output."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from typing_extensions import Self

from tests.emulator import Emulator

KEYS = {
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "backspace": "\x7f",
    **{f"ctrl+{letter}": chr(n) for n, letter in enumerate("abcdefghijklmnopqrstuvwxyz", 1)},
    **{f"f{n}": f"\x1bO{letter}" for n, letter in enumerate("PQRS", 1)},
    **{f"f{n}": f"\x1b[{code}~" for n, code in enumerate((15, 17, 18, 19, 20, 21, 23, 24), 5)},
}

SYNC = 2026
IN_BAND_RESIZE = 2048

# What a person's shell may have set and a test must not inherit.
_NOT_INHERITED = re.compile(
    r"TEXTUAL.*|COLUMNS|LINES|COLORTERM|NO_COLOR|FORCE_COLOR|SSH_.*|TMUX.*|TERM_PROGRAM.*|ESCDELAY"
)
# Opening the terminal makes it the controlling one: the kernel sends SIGWINCH, job control works.
# A shell does it because preexec_fn is unsafe beside threads.
_TAKE_TERMINAL = 'tty=$1; shift; exec "$@" <"$tty" >"$tty" 2>&1'
_QUERY = re.compile(
    rb"\x1b\[\?(?P<mode>\d+)\$p|\x1b\[(?P<ask>0?c|5n|6n|\?2048h)|\x1b\](?P<color>1[01]);\?(?:\x07|\x1b\\)"
)
_LONGEST_QUERY = 16
_READ_BYTES = 65536


class Terminal:
    """A command in a pseudo-terminal; a context manager.

    `modes` says what the terminal answers to DECRQM: 2 is "known, off now", a mode that is not
    there is "unknown"; with IN_BAND_RESIZE it also reports sizes in band. `answers=False` is a
    terminal that answers nothing. Times are `time.monotonic()` seconds.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        columns: int = 80,
        lines: int = 24,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        answers: bool = True,
        modes: Mapping[int, int] | None = None,
    ) -> None:
        self.chunks: list[tuple[float, bytes]] = []
        """What the command wrote, with the time when it was read."""
        self.emulator = Emulator(columns, lines)
        self._output = bytearray()
        self._answers = answers
        self._modes = {SYNC: 2} if modes is None else modes
        self._unanswered = b""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = ""
        self._changed = threading.Condition()
        self._reading = threading.Event()
        self._reading.set()
        self._closing = False
        self._in_band = False
        # The slave stays open here, so that reading never fails before the command has opened it.
        self._fd, self._slave = pty.openpty()
        self._set_size(columns, lines)
        inherited = {k: v for k, v in os.environ.items() if not _NOT_INHERITED.fullmatch(k)}
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", _TAKE_TERMINAL, "sh", os.ttyname(self._slave), *map(str, command)],
            env={**inherited, "TERM": "xterm-256color", **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="terminal-reader", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def output(self) -> bytes:
        """Everything that the command wrote so far."""
        with self._changed:
            return bytes(self._output)

    def bytes_between(self, start: float, end: float) -> int:
        """How many bytes were read in [start, end)."""
        with self._changed:
            return sum(len(data) for at, data in self.chunks if start <= at < end)

    def screen_text(self) -> str:
        """The screen's lines, without blanks at their ends."""
        with self._changed:
            return "\n".join(self.emulator.lines_of_text())

    def send(self, keys: str | bytes) -> None:
        """Type `keys`, raw; see KEYS for those that are not letters."""
        data = keys.encode() if isinstance(keys, str) else keys
        while data:
            data = data[os.write(self._fd, data) :]

    def press(self, *names: str) -> None:
        """Type keys by their names in KEYS; any other name is typed as it is."""
        self.send("".join(KEYS.get(name, name) for name in names))

    def wait_for(self, text: str, timeout: float = 5.0) -> None:
        """Wait until `text` is on the screen.

        Raises AssertionError, with the screen, after `timeout` seconds or when the command ends.
        """
        self.wait_until(
            lambda: any(text in line for line in self.emulator.lines_of_text()), repr(text), timeout
        )

    def wait_for_bytes(self, data: bytes, timeout: float = 5.0, start: int = 0) -> int:
        """Wait until `data` was written, at offset `start` or later; return the offset after it."""
        self.wait_until(lambda: self._output.find(data, start) >= 0, repr(data), timeout)
        return self._output.find(data, start) + len(data)

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = 5.0) -> None:
        """Wait until `condition`, asked whenever something was read; see `wait_for`."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                ended = self.process.poll()
                left = deadline - time.monotonic()
                if left <= 0 or (ended is not None and not self._reader.is_alive()):
                    why = f"not within {timeout} s" if ended is None else f"ended with {ended}"
                    screen = "\n".join(self.emulator.lines_of_text())
                    raise AssertionError(f"{what}: {why}. The screen:\n{screen}")
                self._changed.wait(min(left, 0.1))

    def wait_exit(self, timeout: float = 5.0) -> int:
        """Wait for the command's end and return its status (negative: the signal)."""
        status = self.process.wait(timeout)
        self._reader.join(timeout)
        return status

    def resize(self, columns: int, lines: int) -> None:
        """Change the size as a terminal does: the command gets SIGWINCH."""
        with self._changed:
            self.emulator.resize(lines, columns)
            self._set_size(columns, lines)
            self._report_size()

    def stall(self) -> None:
        """Read nothing from now on, like a link that hangs."""
        self._reading.clear()

    def unstall(self) -> None:
        """Read again, and catch up."""
        self._reading.set()

    def close(self) -> None:
        """End the command (SIGTERM, after 2 s SIGKILL) and let the terminal go."""
        self._reading.set()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(2)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._closing = True
        self._reader.join()
        for fd in (self._fd, self._slave):
            if fd >= 0:
                os.close(fd)
        self._fd = self._slave = -1

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self) -> None:
        while True:
            self._reading.wait()
            ended = self._closing or self.process.poll() is not None
            ready, _, _ = select.select([self._fd], [], [], 0 if ended else 0.05)
            if ready:
                self._take(os.read(self._fd, _READ_BYTES))
            else:
                self._show("", final=True)
                if ended:
                    break
        with self._changed:
            self._changed.notify_all()

    def _take(self, data: bytes) -> None:
        with self._changed:
            self.chunks.append((time.monotonic(), data))
            self._output += data
        self._show(self._decode(data), final=False)
        if self._answers:
            self._answer(data)

    def _show(self, text: str, *, final: bool) -> None:
        """Feed the emulator; a cluster of code points that is not complete waits for its rest."""
        with self._changed:
            text = self._held + text
            end = len(text)
            while not final and end and not text[end - 1].isascii():
                end -= 1
            self._held = text[end:]
            if end:
                self.emulator.feed(text[:end])
                self._changed.notify_all()

    def _answer(self, data: bytes) -> None:
        self._unanswered += data
        end = max(0, len(self._unanswered) - _LONGEST_QUERY)
        for query in _QUERY.finditer(self._unanswered):
            end = max(end, query.end())
            if mode := query["mode"]:
                self.send(f"\x1b[?{mode.decode()};{self._modes.get(int(mode), 0)}$y")
            elif color := query["color"]:
                rgb = "c0c0/c0c0/c0c0" if color == b"10" else "0000/0000/0000"
                self.send(f"\x1b]{color.decode()};rgb:{rgb}\x1b\\")
            elif query["ask"] == b"5n":
                self.send("\x1b[0n")
            elif query["ask"] == b"6n":
                cursor = self.emulator.cursor
                self.send(f"\x1b[{cursor.y + 1};{cursor.x + 1}R")
            elif query["ask"] == b"?2048h":
                self._in_band = IN_BAND_RESIZE in self._modes
                self._report_size()
            else:
                self.send("\x1b[?62;22c")
        self._unanswered = self._unanswered[end:]

    def _report_size(self) -> None:
        if self._in_band:
            lines, columns = self.emulator.lines, self.emulator.columns
            self.send(f"\x1b[48;{lines};{columns};{lines * 16};{columns * 8}t")
