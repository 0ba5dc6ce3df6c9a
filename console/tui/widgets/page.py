"""Text to read: labelled lines, wrapped, scrolled."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import NamedTuple

from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from console.text import clean
from console.tui.look.look import Look
from console.tui.widgets.line import Piece, draw


class Entry(NamedTuple):
    """A label and a text beside it, which wraps with a hanging indent."""

    label: str
    text: str
    tone: str = ""
    label_tone: str = "dim"


BLANK = Entry("", "")
_LEAST_TEXT = 12


class Page(Widget, can_focus=True):
    """Entries as wrapped lines. Its screen's keys scroll it."""

    DEFAULT_CSS = "Page { height: 1fr; width: 1fr; }"

    class Moved(Message):
        """Another part can be seen."""

    def __init__(self, look: Look, entries: Iterable[Entry] = ()) -> None:
        super().__init__()
        self.look = look
        self.entries = list(entries)
        self.top = 0
        self._lines: list[list[Piece]] = []

    @property
    def text(self) -> str:
        """All of it, as copied and as tests read it."""
        return "\n".join(f"{entry.label}{entry.text}".rstrip() for entry in self.entries)

    @property
    def line_count(self) -> int:
        return len(self._lines)

    def show(self, entries: Iterable[Entry]) -> None:
        """Replace the text."""
        new = list(entries)
        if new != self.entries:
            self.entries = new
            self._wrap()

    def scroll_lines(self, lines: int) -> None:
        """Move by lines; as far as there is text."""
        top = max(0, min(self.top + lines, len(self._lines) - self.size.height))
        if top != self.top:
            self.top = top
            self.refresh()
            self.post_message(self.Moved())

    def on_resize(self, event: events.Resize) -> None:
        self._wrap(event.size.width)

    def on_mouse_scroll_down(self) -> None:
        self.scroll_lines(3)

    def on_mouse_scroll_up(self) -> None:
        self.scroll_lines(-3)

    def render_line(self, y: int) -> Strip:
        index = self.top + y
        pieces = self._lines[index] if index < len(self._lines) else []
        return draw(pieces, self.size.width, self.look, base=self.rich_style)

    def _wrap(self, width: int | None = None) -> None:
        room = width or self.size.width
        self._lines = [line for entry in self.entries for line in wrap_entry(entry, room)]
        self.top = max(0, min(self.top, len(self._lines) - self.size.height))
        self.refresh()
        self.post_message(self.Moved())


def wrap_entry(entry: Entry, width: int) -> list[list[Piece]]:
    """The lines of an entry. Where the label leaves no room, the text begins below it."""
    label, text = clean(entry.label), "\n".join(clean(part) for part in entry.text.split("\n"))
    indent = len(label)
    lines: list[list[Piece]] = []
    if width - indent < _LEAST_TEXT and text:
        lines.append([(label, entry.label_tone)])
        label, indent = "", 1
    wrapped = [
        part
        for paragraph in text.split("\n")
        # Not at hyphens: names of nodes and options of commands have them.
        for part in textwrap.wrap(paragraph, max(1, width - indent), break_on_hyphens=False) or [""]
    ]
    for number, part in enumerate(wrapped):
        start = label if number == 0 and label else " " * indent
        lines.append([(start, entry.label_tone), (part, entry.tone)])
    return lines
