"""The lines above and below every screen: each one line, drawn from pieces."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip
from textual.widget import Widget

from console.tui.look.look import Look
from console.tui.widgets.line import Piece, spread


class Bar(Widget):
    """A line with something at its left and at its right end. Draws only what changed."""

    DEFAULT_CSS = "Bar { height: 1; width: 1fr; }"

    def __init__(self, look: Look) -> None:
        super().__init__()
        self.look = look
        self._left: list[Piece] = []
        self._right: list[Piece] = []

    @property
    def text(self) -> str:
        """What stands there, for tests and for people who read tests."""
        return "".join(text for text, _ in [*self._left, *self._right])

    def show(self, left: Sequence[Piece], right: Sequence[Piece] = ()) -> None:
        """Replace what stands there."""
        new = (list(left), list(right))
        if new != (self._left, self._right):
            self._left, self._right = new
            self.refresh()

    def render_line(self, y: int) -> Strip:
        return spread(self._left, self._right, self.size.width, self.look, base=self.rich_style)
