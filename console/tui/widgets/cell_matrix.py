"""A matrix in which one cell has the cursor: a row's, under one node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.strip import Strip

from console.tui.look.look import Look
from console.tui.rows.cells import Column, Row
from console.tui.rows.matrix import NodeHead
from console.tui.rows.model import TableModel
from console.tui.widgets.line import Piece, draw, fit
from console.tui.widgets.matrix import MatrixTable


class CellMatrix(MatrixTable):
    """Going sideways moves the cursor; the nodes scroll after it."""

    least: ClassVar[int] = 6  # "cannot"

    def __init__(self, model: TableModel, look: Look, fixed: tuple[Column, ...]) -> None:
        super().__init__(model, look, fixed)
        self._node: str | None = None  # the cursor stays with it, wherever it moves

    @property
    def column(self) -> int:
        """The node that the cursor is on, among the heads."""
        for index, head in enumerate(self.heads):
            if head.name == self._node:
                return index
        return 0

    @property
    def head(self) -> NodeHead | None:
        """That node."""
        return self.heads[self.column] if self.heads else None

    def take_heads(self, heads: Sequence[NodeHead]) -> None:
        other = [head.name for head in heads] != [head.name for head in self.heads]
        super().take_heads(heads)
        if other:
            self.go_to(self.column)

    def go_sideways(self, columns: int) -> None:
        """Move the cursor to the right, or to the left."""
        self.go_to(self.column + columns)

    def go_to(self, column: int) -> None:
        """Put the cursor on a node; the last one where there are fewer."""
        column = max(0, min(column, len(self.heads) - 1))
        self._node = self.heads[column].name if self.heads else None
        first, end = self.seen
        if column < first:
            self.left = column
        elif column >= end:
            self.left = column - (end - first) + 1
        self._clamp()
        self.refresh()
        self.post_message(self.Scrolled())

    def on_resize(self, event: events.Resize) -> None:
        self.go_to(self.column)

    def on_click(self, event: events.Click) -> None:
        x = 1
        for index, width in self._layout:
            if x <= event.x < x + width and index >= len(self.fixed):
                self.go_to(index - len(self.fixed))
            x += width + 1

    def _node_piece(self, head: NodeHead, column: Column, y: int, width: int) -> Piece:
        text, tone = super()._node_piece(head, column, y, width)
        here = head.name == self._node and tone == "title" and bool(text.strip())
        return text, "cursor" if here else tone

    def _row_strip(self, row: Row, width: int, base: Style, *, marked: bool, here: bool) -> Strip:
        """In the cursor's row the states of the other nodes stay as they are."""
        if not here:
            return super()._row_strip(row, width, base, marked=marked, here=here)
        glyphs = self.look.glyphs
        pieces: list[Piece] = [(glyphs.mark if marked else glyphs.cursor, "cursor")]
        fixed, at = len(self.fixed), len(self.fixed) + self.column
        for position, (index, cell_width) in enumerate(self._layout):
            cell, column = row.cells[index], self.model.columns[index]
            text = cell.text
            if cell.wide is not None and len(cell.wide) <= cell_width:
                text = cell.wide
            if position:
                gap = glyphs.cursor if index == at else " "
                pieces.append((gap, "cursor" if index < fixed or index == at else row.tone))
            right, cut = column.align == "right", self.cut_of(column)
            tone = "cursor" if index < fixed or index == at else cell.tone
            pieces.append((fit(text, cell_width, self.look, right=right, cut=cut), tone))
        return draw(pieces, width, self.look, base=base)
