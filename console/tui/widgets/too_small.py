"""What is said on a terminal that is too small for the screens."""

from __future__ import annotations

from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from console.tui.look.look import Look
from console.tui.widgets.line import draw
from console.tui.widgets.page import Entry, wrap_entry


class TooSmall(Widget):
    """Fills the screen with what to do."""

    DEFAULT_CSS = "TooSmall { height: 1fr; width: 1fr; }"

    def __init__(self, look: Look, size: Size, smallest: tuple[int, int]) -> None:
        super().__init__()
        self.look = look
        self._now = size
        self._smallest = smallest

    @property
    def text(self) -> str:
        columns, rows = self._smallest
        return (
            f"This terminal has {self._now.width}x{self._now.height} cells.\n"
            f"Roost's screens need {columns}x{rows}.\n"
            "Make it larger or its font smaller.\n"
            "\nroost node ls works at any size.\nCtrl+C leaves."
        )

    def tell(self, size: Size) -> None:
        """The terminal has another size now."""
        self._now = size
        self.refresh()

    def render_line(self, y: int) -> Strip:
        lines = wrap_entry(Entry("", self.text), self.size.width)
        return draw(
            lines[y] if y < len(lines) else [], self.size.width, self.look, base=self.rich_style
        )
