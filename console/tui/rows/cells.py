"""Cells, rows and columns, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

SortKey = float | str | None


class Cell(NamedTuple):
    """One cell. `wide` is shown instead of `text` where the column has room for it.

    `sort` orders the column; None comes last either way. `tag` is a word behind the text that is
    never cut off.
    """

    text: str
    tone: str = ""
    sort: SortKey = None
    wide: str | None = None
    tag: str = ""


class Row(NamedTuple):
    """One row. `key` names it in its table; `group` is the node it belongs to.

    `tone` is "dim" for what is not live; `search` is what the filter looks at, in lower case.
    """

    key: str
    group: str
    cells: tuple[Cell, ...]
    tone: str
    search: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column and its width in cells on terminals of 60, 80, 120 and 200 columns; 0 hides it.

    What is left over goes to columns in the order of their `grow`: each takes up to that much.
    """

    id: str
    title: str
    widths: tuple[int, int, int, int]
    align: Literal["left", "right"] = "left"
    grow: int = 0


_BREAKPOINTS = (80, 120, 200)


def lay_out(columns: tuple[Column, ...], total: int) -> list[tuple[int, int]]:
    """The shown columns as (index, width), for a table `total` cells wide.

    One cell stands before each: the first one's holds the mark.

    The last columns go first where even the smallest widths do not fit.
    """
    step = sum(total >= limit for limit in _BREAKPOINTS)
    shown = [(i, c.widths[step]) for i, c in enumerate(columns) if c.widths[step]]
    while len(shown) > 1 and sum(w + 1 for _, w in shown) > total:
        shown.pop()
    left = total - sum(w + 1 for _, w in shown)
    for position, (index, width) in enumerate(shown):
        extra = min(left, columns[index].grow)
        if extra > 0:
            shown[position] = (index, width + extra)
            left -= extra
    return shown


def make_row(
    key: str,
    group: str,
    cells: tuple[Cell, ...],
    *,
    dim: bool = False,
    loud: int = -1,
    more: str = "",
) -> Row:
    """A row whose search text is all of its cells and `more`.

    In a `dim` row only the cell with index `loud` keeps its tone: old figures alarm nobody, and
    why the row is not live stays readable.
    """
    search = " ".join([*(plain(cell) for cell in cells), more]).lower()
    if dim:
        cells = tuple(
            cell if index == loud or not cell.tone else cell._replace(tone="dim")
            for index, cell in enumerate(cells)
        )
    return Row(key, group, cells, "dim" if dim else "", search)


def plain(cell: Cell) -> str:
    """A cell's text for searching, files and the clipboard: its longest form."""
    text = cell.wide if cell.wide is not None else cell.text
    return f"{text} {cell.tag}" if cell.tag else text
