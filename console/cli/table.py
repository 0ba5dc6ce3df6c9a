"""Tables that fit the terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import click

from console.cli.output import say, width
from console.text import clean

UNKNOWN = "-"
CUT = "..."


class Column(NamedTuple):
    """A column. Where the terminal is narrow, columns with the lowest `keep` go first."""

    title: str
    keep: int = 9  # 9: never dropped
    right: bool = False
    least: int = 0  # may be cut to so many cells; 0: never cut


# A name that is cut cannot be typed: other columns give way first.
NODE = Column("NODE", least=24)


class Cell(NamedTuple):
    """A text, and a shorter one for where that does not fit."""

    text: str
    short: str


Row = Sequence[str | Cell]


def print_table(columns: Sequence[Column], rows: Sequence[Row], *, limit: int = 0) -> None:
    """Print the rows under the columns' titles; a column without any text is left out.

    `limit` is how many cells a line may have; 0: as many as the terminal has.
    """
    if not rows:
        say("nothing to show")
        return
    for line in fit(columns, rows, limit or width()):
        click.echo(line)


def fit(columns: Sequence[Column], rows: Sequence[Row], limit: int) -> list[str]:
    """The table's lines, of at most `limit` cells where that can be done.

    Shorter words come first, then less space, then fewer columns, and cut texts at last.
    """
    full = [[clean(c.text if isinstance(c, Cell) else c) for c in row] for row in rows]
    short = [[clean(c.short if isinstance(c, Cell) else c) for c in row] for row in rows]
    shown = [i for i in range(len(columns)) if any(row[i] for row in full)]
    for texts, gap in ((full, 2), (short, 2), (short, 1)):
        if _total(columns, texts, shown, gap) <= limit:
            return _lines(columns, texts, shown, gap, {})
    while _least_total(columns, short, shown) > limit and (spare := _to_drop(columns, shown)):
        shown = [i for i in shown if i != spare[0]]
    return _lines(columns, short, shown, 1, _cuts(columns, short, shown, limit))


def cells(text: str) -> int:
    """How many cells of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def cut(text: str, limit: int) -> str:
    """`text` in at most `limit` cells; what is cut off shows as dots."""
    if cells(text) <= limit:
        return text
    while text and cells(text) > limit - len(CUT):
        text = text[:-1]
    return text + CUT


def _widths(
    columns: Sequence[Column], texts: Sequence[Sequence[str]], shown: Sequence[int]
) -> dict[int, int]:
    return {
        i: max(len(columns[i].title), max((cells(row[i]) for row in texts), default=0))
        for i in shown
    }


def _total(
    columns: Sequence[Column], texts: Sequence[Sequence[str]], shown: Sequence[int], gap: int
) -> int:
    return sum(_widths(columns, texts, shown).values()) + gap * (len(shown) - 1)


def _least_total(
    columns: Sequence[Column], texts: Sequence[Sequence[str]], shown: Sequence[int]
) -> int:
    wide = _widths(columns, texts, shown)
    return sum(_least(columns[i], wide[i]) for i in shown) + len(shown) - 1


def _least(column: Column, wide: int) -> int:
    return min(wide, max(column.least, len(column.title))) if column.least else wide


def _to_drop(columns: Sequence[Column], shown: Sequence[int]) -> list[int]:
    """The columns that may go, the next one first."""
    return sorted((i for i in shown if columns[i].keep < 9), key=lambda i: columns[i].keep)


def _cuts(
    columns: Sequence[Column], texts: Sequence[Sequence[str]], shown: Sequence[int], limit: int
) -> dict[int, int]:
    """To how many cells columns must be cut; the widest gives most."""
    wide = _widths(columns, texts, shown)
    over = sum(wide.values()) + len(shown) - 1 - limit
    cuts: dict[int, int] = {}
    for i in sorted((i for i in shown if columns[i].least), key=lambda i: -wide[i]):
        give = min(over, wide[i] - _least(columns[i], wide[i]))
        if give > 0:
            cuts[i] = wide[i] - give
            over -= give
    return cuts


def _lines(
    columns: Sequence[Column],
    texts: Sequence[Sequence[str]],
    shown: Sequence[int],
    gap: int,
    cuts: dict[int, int],
) -> list[str]:
    wide = _widths(columns, texts, shown) | cuts
    lines = []
    for row in ([column.title for column in columns], *texts):
        parts = []
        for i in shown:
            text = cut(row[i], wide[i])
            space = " " * (wide[i] - cells(text))
            parts.append(space + text if columns[i].right else text + space)
        lines.append((" " * gap).join(parts).rstrip())
    return lines
