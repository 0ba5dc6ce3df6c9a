"""All that a worker prints, kept up to a limit."""

from __future__ import annotations

import contextlib
from pathlib import Path

LAST_WORDS = 500
LIMIT_BYTES = 4 * 1024 * 1024
# Of the end of it, for the log of a job that failed.
TOLD_BYTES, TOLD_LINES, TOLD_LINE = 64 * 1024, 100, 2000


class BuildLog:
    """All that a worker prints, up to a limit; a builder may print without end."""

    def __init__(self, file: Path, *, limit: int = LIMIT_BYTES) -> None:
        self._file, self._left = file, limit
        self.tail = b""  # of standard error

    def add(self, data: bytes) -> None:
        """Blocks. A disk that is full ends the log, not the build."""
        piece, self._left = data[: self._left], self._left - min(len(data), self._left)
        if piece:
            if not self._left:
                piece += b"\n[no more is kept]\n"
            with contextlib.suppress(OSError), self._file.open("ab") as file:
                file.write(piece)

    def add_error(self, data: bytes) -> None:
        """Blocks. Of standard error, whose end tells why a worker died."""
        self.tail = (self.tail + data)[-LAST_WORDS:]
        self.add(data)

    @property
    def last_words(self) -> str:
        """The last line of standard error; "" where there is none."""
        words = self.tail.decode("utf-8", "replace").strip().splitlines()
        return words[-1] if words else ""


def said_last(file: Path) -> list[str]:
    """The last lines of a log that are no events: those are told as they come.

    Blocks. Empty where there is no log.
    """
    try:
        text, _, cut = tail_of(file, TOLD_BYTES)
    except OSError:
        return []
    lines = [line[:TOLD_LINE] for line in text.splitlines() if not line.startswith('{"event":')]
    left_out = cut > 0 or len(lines) > TOLD_LINES
    return ["[what was said before is left out]"] * left_out + lines[-TOLD_LINES:]


def tail_of(file: Path, limit: int) -> tuple[str, int, int]:
    """The end of a log in whole lines, the log's size, and how much is left out before it.

    Blocks. Raises OSError.
    """
    with file.open("rb") as log:
        size = log.seek(0, 2)
        log.seek(max(size - limit, 0))
        end = log.read(limit)
    if len(end) < size:
        end = end.partition(b"\n")[2] or end
    return end.decode("utf-8", "replace"), size, size - len(end)
