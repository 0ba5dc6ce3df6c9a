"""How a table with a column for each node is laid out: some columns stay, the others scroll."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from console.tui.rows.cells import Column

LEAST, MOST = 5, 13
"""Cells that a node's column has."""
_SCROLLED = 6  # where not all of them fit
_SHORTEST = 12
_STEPS = (80, 160)  # from these widths on the second and the third layout
NAME_LINES = 4
_PARTS = re.compile(r"[^-._]*[-._]?")


class Across(NamedTuple):
    """`fixed` are the columns that stay, as (index, width); of the others `shown` can be seen at
    once, each `width` cells wide."""

    fixed: list[tuple[int, int]]
    width: int
    shown: int


def lay_out_across(
    fixed: Sequence[Column], count: int, longest: int, total: int, least: int = LEAST
) -> Across:
    """For `count` scrolling columns in a table of `total` cells, each of `least` or more.

    The widest layout in which all of them can be seen; else what suits the terminal. The first
    column is not wider than `longest` asks for, and gets what is left over.
    """
    for step in (3, 2, 1, 0):
        stay, room = _staying(fixed, step, longest, total)
        width = min(MOST, room // max(1, count) - 1)
        if width >= least or (not count and room >= 0):
            found = Across(stay, max(least, width), count)
            break
    else:
        step = sum(total >= columns for columns in _STEPS)
        stay, room = _staying(fixed, step, longest, total)
        scrolled = max(_SCROLLED, least)
        found = Across(stay, scrolled, max(1, min(count, room // (scrolled + 1))))
    index, first = found.fixed[0]
    used = sum(width + 1 for _, width in found.fixed) + found.shown * (found.width + 1)
    more = max(0, min(total - used, longest - first))
    return found._replace(fixed=[(index, first + more), *found.fixed[1:]])


def _staying(
    fixed: Sequence[Column], step: int, longest: int, total: int
) -> tuple[list[tuple[int, int]], int]:
    """The columns that stay, in one of their four layouts, and the room beside them."""
    widths = [min(fixed[0].widths[step], max(_SHORTEST, longest))]
    widths += [column.widths[step] for column in fixed[1:]]
    stay = [(index, width) for index, width in enumerate(widths) if width]
    return stay, total - sum(width + 1 for _, width in stay)


def name_lines(name: str, width: int) -> list[str]:
    """A name in lines of `width` characters, at most `NAME_LINES`; broken at hyphens and dots
    where that is enough."""
    lines = [""]
    for part in _PARTS.findall(name):
        if len(lines[-1]) + len(part) <= width:
            lines[-1] += part
        else:
            lines.append(part)
    if len(lines) <= NAME_LINES and all(len(line) <= width for line in lines):
        return [line for line in lines if line]
    room = width * NAME_LINES
    if len(name) > room:
        head = room // 2
        name = f"{name[:head]}~{name[len(name) - (room - head - 1) :]}"
    return [name[at : at + width] for at in range(0, len(name), width)]
