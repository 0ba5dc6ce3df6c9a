"""Lines of pieces, one under the other, that do not wrap. Draws only those that differ."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from console.tui.look.look import Look
from console.tui.widgets.line import Piece, draw


class Lines(Widget):
    """As many as there is room for; the last one says how many more there are."""

    DEFAULT_CSS = "Lines { height: 1fr; width: 1fr; }"

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self._lines: list[list[Piece]] = []

    @property
    def text(self) -> str:
        """All of it, for tests."""
        return "\n".join("".join(text for text, _ in line) for line in self._lines)

    def show(self, lines: Sequence[Sequence[Piece]]) -> None:
        """Replace them."""
        new, old = [list(line) for line in lines], self._lines
        if new == old:
            return
        self._lines = new
        if len(new) != len(old):
            self.refresh()
            return
        for y, (line, before) in enumerate(zip(new, old, strict=True)):
            if line != before:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        height, count = self.size.height, len(self._lines)
        pieces = self._lines[y] if y < count else []
        if y == height - 1 and count > height:
            pieces = [(f" and {count - height + 1} more: Enter shows all", "dim")]
        return draw(pieces, self.size.width, self.look, base=self.rich_style)
