"""The lines of a log that are kept, and those that the filter shows. Pure and bounded."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from agent.protocol.containers import LOG_LINE_LIMIT_BYTES, LogLine
from console.text import clean_output, size
from console.tui.rows.filters import TextFilter

MAX_LINES = 20_000
MAX_CHARACTERS = 8_000_000
_TAB = 8
_REMEMBERED = 64


class Kept(NamedTuple):
    """A line as it is shown: safe, without tabs, and cut where it was too long."""

    text: str
    at: str | None
    stderr: bool


class LogBuffer:
    """Drops the oldest lines when there are too many, or too much of them."""

    def __init__(self, *, max_lines: int = MAX_LINES, max_characters: int = MAX_CHARACTERS) -> None:
        self.shown: deque[Kept] = deque()
        self.filter = TextFilter()
        self.dropped = 0
        """Lines that are no longer kept."""
        self.characters = 0
        self._all: deque[Kept] = deque()
        self._max_lines = max_lines
        self._max_characters = max_characters
        self._recent: deque[LogLine] = deque(maxlen=_REMEMBERED)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def last_at(self) -> str | None:
        """When the newest line was written: where to go on after a cut."""
        return self._all[-1].at if self._all else None

    def add(self, lines: Iterable[LogLine]) -> int:
        """Keep new lines. Returns how many shown ones went at the beginning."""
        pattern, inverse = self.filter.pattern(), self.filter.inverse
        gone = 0
        for line in lines:
            kept = keep(line)
            self._recent.append(line)
            self._all.append(kept)
            self.characters += len(kept.text)
            if pattern is None or (pattern.search(kept.text) is None) is inverse:
                self.shown.append(kept)
            while len(self._all) > self._max_lines or (
                self.characters > self._max_characters and len(self._all) > 1
            ):
                old = self._all.popleft()
                self.characters -= len(old.text)
                self.dropped += 1
                if self.shown and self.shown[0] is old:
                    self.shown.popleft()
                    gone += 1
        return gone

    def without_known(self, lines: list[LogLine]) -> list[LogLine]:
        """The lines after those that were kept last; a stream resumed by time repeats some."""
        return [line for line in lines if line not in self._recent]

    def clear(self) -> None:
        """Forget everything but the filter."""
        self._all.clear()
        self.shown.clear()
        self._recent.clear()
        self.characters = self.dropped = 0

    def narrow(self, text: str) -> None:
        """Show only lines that match."""
        self.filter = TextFilter(text)
        pattern, inverse = self.filter.pattern(), self.filter.inverse
        self.shown = deque(
            line
            for line in self._all
            if pattern is None or (pattern.search(line.text) is None) is inverse
        )

    def find(self, pattern: re.Pattern[str], start: int, step: int) -> int | None:
        """The first shown line from `start` on, in the direction of `step` (1 or -1)."""
        lines = list(self.shown)
        index = start
        while 0 <= index < len(lines):
            if pattern.search(lines[index].text):
                return index
            index += step
        return None


def keep(line: LogLine) -> Kept:
    """A line made safe and cut: an agent cuts too, but need not be believed."""
    text = clean_output(line.text[:LOG_LINE_LIMIT_BYTES]).expandtabs(_TAB)
    cut = line.cut_bytes + max(0, len(line.text) - LOG_LINE_LIMIT_BYTES)
    if cut:
        text += f" [cut here: {size(cut)} more]"
    return Kept(text, line.at, line.stream == "stderr")
