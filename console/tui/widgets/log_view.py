"""A log that is drawn line by line: only what can be seen costs anything."""

from __future__ import annotations

import re
from itertools import islice

from rich.cells import cell_len, chop_cells
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from console.tui.log_buffer import Kept, LogBuffer
from console.tui.look.look import Look
from console.tui.widgets.line import Piece, draw

_TIME = slice(11, 19)  # "10:15:00" of an RFC 3339 time
_STEP = 8


class LogView(Widget, can_focus=True):
    """Shows a LogBuffer: at its end while `following`, else where it was left."""

    DEFAULT_CSS = "LogView { height: 1fr; width: 1fr; }"

    class Moved(Message):
        """Another part can be seen, or it follows now, or no longer."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LogView.Moved)

    def __init__(self, buffer: LogBuffer, look: Look) -> None:
        super().__init__()
        self.buffer = buffer
        self.look = look
        self.following = True
        self.wrap = False
        self.times = False
        self.pattern: re.Pattern[str] | None = None
        self.top = 0  # the shown line at the top, while not following
        self.left = 0
        self.empty = "no lines yet"
        self._rows: list[tuple[Kept, str]] | None = None

    # what can be seen

    def changed(self, *, gone: int = 0) -> None:
        """The buffer has changed; `gone` lines of its beginning are no more."""
        if not self.following:
            self.top = max(0, self.top - gone)
        self._again()

    def follow(self, *, on: bool) -> None:
        """Stay at the end, or stay where it is."""
        if on != self.following:
            self.top = self._first_seen()
            self.following = on
            self._again()

    def toggle_wrap(self) -> None:
        self.top, self.left = self._first_seen(), 0
        self.wrap = not self.wrap
        self._again()

    def toggle_times(self) -> None:
        self.times = not self.times
        self._again()

    def scroll_lines(self, lines: int) -> None:
        """Move by lines; downwards past the end it follows again."""
        if lines < 0:
            self.top = max(0, self._first_seen() + lines)
            self.following = False
        elif not self.following:
            self.top += lines
            self.following = self.top >= self._last_top()
        self._again()

    def show_line(self, index: int) -> None:
        """Bring a line into sight, a third down."""
        self.following = False
        self.top = max(0, min(index - self.size.height // 3, self._last_top()))
        self._again()

    def scroll_columns(self, steps: int) -> None:
        if not self.wrap:
            self.left = max(0, self.left + steps * _STEP)
            self._again()

    @property
    def seen(self) -> tuple[int, int]:
        """The first and the last line that can be seen, counted from 1; (0, 0) for none."""
        count = len(self.buffer.shown)
        if not count:
            return (0, 0)
        first = self._first_seen()
        distinct = len({id(line) for line, _ in self._visible()})
        return (first + 1, min(count, first + max(1, distinct)))

    def _again(self) -> None:
        self._rows = None
        self.refresh()
        self.post_message(self.Moved())

    def _last_top(self) -> int:
        """The topmost line when the end is in sight."""
        return max(0, len(self.buffer.shown) - len({id(x) for x, _ in self._end_rows()}))

    def _first_seen(self) -> int:
        return self._last_top() if self.following else min(self.top, self._last_top())

    # drawing

    def on_resize(self, event: events.Resize) -> None:
        self._again()

    def on_mouse_scroll_down(self) -> None:
        self.scroll_lines(3)

    def on_mouse_scroll_up(self) -> None:
        self.scroll_lines(-3)

    def _end_rows(self) -> list[tuple[Kept, str]]:
        rows: list[tuple[Kept, str]] = []
        for line in islice(reversed(self.buffer.shown), self.size.height):
            rows = [(line, part) for part in self._parts(line)] + rows
            if len(rows) >= self.size.height:
                break
        return rows[-self.size.height :] if rows else []

    def _visible(self) -> list[tuple[Kept, str]]:
        if self._rows is None:
            if self.following:
                self._rows = self._end_rows()
            else:
                rows: list[tuple[Kept, str]] = []
                first = self._first_seen()
                for line in islice(self.buffer.shown, first, first + self.size.height):
                    rows.extend((line, part) for part in self._parts(line))
                self._rows = rows[: self.size.height]
        return self._rows

    def _parts(self, line: Kept) -> list[str]:
        """A line's rows: one, or as many as its wrapped text takes."""
        if not self.wrap:
            return [line.text[self.left :]]
        room = max(1, self.size.width - (self._time_width() if self.times else 0))
        text = line.text
        if text.isascii():
            return [text[i : i + room] for i in range(0, len(text), room)] or [""]
        return chop_cells(text, room) if cell_len(text) > room else [text]

    @staticmethod
    def _time_width() -> int:
        return _TIME.stop - _TIME.start + 1

    def render_line(self, y: int) -> Strip:
        rows = self._visible()
        width, base = self.size.width, self.rich_style
        if y >= len(rows):
            text = f" {self.empty}" if y == 1 and not rows else ""
            return draw([(text, "dim")], width, self.look, base=base)
        line, part = rows[y]
        pieces: list[Piece] = []
        if self.times:
            first = y == 0 or rows[y - 1][0] is not line
            shown = (line.at or "")[_TIME] if first else ""
            pieces.append((f"{shown:{self._time_width()}}", "dim"))
        pieces.extend(self._marked(part, "warn" if line.stderr else ""))
        return draw(pieces, width, self.look, base=base)

    def _marked(self, text: str, tone: str) -> list[Piece]:
        """The text, with what was searched for in another tone."""
        if self.pattern is None:
            return [(text, tone)]
        pieces: list[Piece] = []
        end = 0
        for match in self.pattern.finditer(text):
            if match.end() > match.start():
                pieces += [(text[end : match.start()], tone), (match[0], "found")]
                end = match.end()
        return [*pieces, (text[end:], tone)]
