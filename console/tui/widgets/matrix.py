"""A table with a column for each node: its first columns stay, the nodes scroll sideways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.message import Message

from console.tui.look.look import Look
from console.tui.rows.across import LEAST, Across, lay_out_across, name_lines
from console.tui.rows.cells import Column
from console.tui.rows.matrix import IMAGE_COLUMNS, NodeHead, node_column
from console.tui.rows.model import TableModel
from console.tui.widgets.line import Cut, Piece, fit
from console.tui.widgets.table import RowTable


class MatrixTable(RowTable):
    """The model's columns are `fixed`, then one for each of `heads`."""

    least: ClassVar[int] = LEAST
    """Cells that a node's column has where all nodes can be seen at once."""

    class Scrolled(Message):
        """Other nodes can be seen."""

    def __init__(
        self, model: TableModel, look: Look, fixed: tuple[Column, ...] = IMAGE_COLUMNS
    ) -> None:
        super().__init__(model, look, keep_cursor=True)
        self.fixed = fixed
        self.heads: Sequence[NodeHead] = ()
        self.left = 0
        """The first node that can be seen."""
        self._longest = 0
        self._across_for: tuple[int, int, int] = (-1, 0, 0)
        self._across = Across([], 0, 0)
        self._names: dict[str, list[str]] = {}

    def take_heads(self, heads: Sequence[NodeHead]) -> None:
        """Other nodes, or another state of them."""
        if heads == self.heads:
            return
        if [head.name for head in heads] != [head.name for head in self.heads]:
            self.model.columns = (*self.fixed, *map(node_column, heads))
        self.heads = heads
        self._names.clear()
        self._clamp()
        self._clamp_top()
        self.refresh()

    def take_longest(self, cells: int) -> None:
        """How long the longest name of an image is."""
        if cells != self._longest:
            self._longest = cells
            self._names.clear()
            self.refresh()

    @property
    def across(self) -> Across:
        """Which columns there is room for."""
        key = (self.size.width, len(self.heads), self._longest)
        if key != self._across_for:
            width, count, longest = self._across_for = key
            self._across = lay_out_across(self.fixed, count, longest, width, self.least)
            self._names.clear()
        return self._across

    @property
    def seen(self) -> tuple[int, int]:
        """The first node that can be seen, and the one after the last."""
        self._clamp()
        return self.left, min(self.left + self.across.shown, len(self.heads))

    def go_sideways(self, columns: int) -> None:
        """Show nodes further to the right, or to the left."""
        before = self.left
        self.left += columns
        self._clamp()
        if self.left != before:
            self.refresh()
            self.post_message(self.Scrolled())

    def _clamp(self) -> None:
        self.left = max(0, min(self.left, len(self.heads) - self.across.shown))

    @property
    def _layout(self) -> list[tuple[int, int]]:
        across = self.across
        first, end = self.seen
        return [*across.fixed, *((len(self.fixed) + n, across.width) for n in range(first, end))]

    # the head: names of nodes in a few lines, then what has to be known of them

    @property
    def header_height(self) -> int:
        return max(1, self._name_height + self._says_production + self._says_age)

    @property
    def _says_production(self) -> bool:
        return self._tags and any(head.production for head in self.heads)

    @property
    def _says_age(self) -> bool:
        return any(head.age for head in self.heads)

    @property
    def _name_height(self) -> int:
        width = self.across.width
        if not self._names:
            self._names = {head.name: name_lines(head.name, width) for head in self.heads}
        return max(map(len, self._names.values()), default=1)

    def _header(self, y: int) -> list[Piece]:
        pieces: list[Piece] = [(" ", "title")]
        last = y == self.header_height - 1
        for position, (index, width) in enumerate(self._layout):
            if position:
                pieces.append((" ", "title"))
            column = self.model.columns[index]
            if index >= len(self.fixed):
                head = self.heads[index - len(self.fixed)]
                pieces.append(self._node_piece(head, column, y, width))
                continue
            title = self.with_sort_sign(column, column.title, width) if last else ""
            text = fit(title, width, self.look, right=column.align == "right")
            pieces.append((text, "title"))
        return pieces

    def _node_piece(self, head: NodeHead, column: Column, y: int, width: int) -> Piece:
        height = self._name_height
        names = self._names[head.name]
        y_name = y - (height - len(names))  # names end in the same line
        tone = "production" if head.production and self._tags else "title"
        text = ""
        if 0 <= y_name < len(names):
            text = names[y_name]
            if y_name == len(names) - 1:
                text = self.with_sort_sign(column, text, width)
        elif y == height and self._says_production:
            text = "PROD" if head.production else ""
        elif y >= height:
            text, tone = head.age, "title"
        return fit(text, width, self.look), tone if text else "title"

    def cut_of(self, column: Column) -> Cut:
        # What tells images apart is behind the registry.
        return "start" if column.id == "image" else super().cut_of(column)
