"""Cells, rows and columns, as data."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

SortKey = float | str | None


class Cell(NamedTuple):
    """One cell. `wide` is shown instead of `text` where the column has room for it.

    `sort` orders the column; None comes last either way. `tag` is a word behind the text that is
    never cut off. `data` is the value for programs, where the text has more than it.
    """

    text: str
    tone: str = ""
    sort: SortKey = None
    wide: str | None = None
    tag: str = ""
    data: str | None = None


class Row(NamedTuple):
    """One row. `key` names it in its table; `group` is the node it belongs to.

    `tone` is "dim" for what is not live; `more` is what the filter looks at beyond the cells, and
    `find`, where there is one, instead of them.
    """

    key: str
    group: str
    cells: tuple[Cell, ...]
    tone: str
    more: str = ""
    find: str | None = None

    def search_text(self) -> str:
        """What the filter looks at. Only made where there is a filter: rows change all the time."""
        if self.find is not None:
            return self.find
        return " ".join([*(plain(cell) for cell in self.cells), self.more])


class Column(msgspec.Struct, frozen=True):
    """A column and its width in cells in each of four layouts, from narrow to wide; 0 hides it.

    The widest layout that fits is taken: the first is for terminals of 60 columns, the others for
    80, 120 and 200. What is left over goes to columns in their order, up to their `grow`.
    """

    id: str
    title: str
    widths: tuple[int, int, int, int]
    align: Literal["left", "right"] = "left"
    grow: int = 0
    largest_first: bool = False
    """How it is sorted at first: who sorts by load or heat looks for the most."""


def lay_out(columns: tuple[Column, ...], total: int) -> list[tuple[int, int]]:
    """The shown columns as (index, width), for a table `total` cells wide.

    One cell stands before each: the first one's holds the mark. Where not even the narrowest
    layout fits, its last columns go.
    """
    shown: list[tuple[int, int]] = []
    for step in (3, 2, 1, 0):
        shown = [(i, c.widths[step]) for i, c in enumerate(columns) if c.widths[step]]
        if _room(shown) <= total:
            break
    while len(shown) > 1 and _room(shown) > total:
        shown.pop()
    left = total - _room(shown)
    for position, (index, width) in enumerate(shown):
        extra = min(left, columns[index].grow)
        if extra > 0:
            shown[position] = (index, width + extra)
            left -= extra
    return shown


def _room(shown: list[tuple[int, int]]) -> int:
    return sum(width + 1 for _, width in shown)


def make_row(
    key: str,
    group: str,
    cells: tuple[Cell, ...],
    *,
    dim: bool = False,
    loud: int = -1,
    more: str = "",
    find: str | None = None,
) -> Row:
    """A row. In a `dim` one only the cell with index `loud` keeps its tone.

    Old figures alarm nobody, and why the row is not live stays readable.
    """
    if dim:
        cells = tuple(
            cell if index == loud or not cell.tone else cell._replace(tone="dim")
            for index, cell in enumerate(cells)
        )
    return Row(key, group, cells, "dim" if dim else "", more, find)


def whole_text(cell: Cell) -> str:
    """A cell's text in its longest form, without its tag."""
    return cell.wide if cell.wide is not None else cell.text


def plain(cell: Cell) -> str:
    """A cell's text for searching and for people, with its tag."""
    return f"{whole_text(cell)} {cell.tag}" if cell.tag else whole_text(cell)
