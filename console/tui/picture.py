"""What the terminal shows, what it should show, and the bytes from one to the other."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress
from operator import ne, or_

from rich.color import ColorSystem
from rich.segment import Segment

from console.tui.cells import split_cells
from console.tui.pen import Pen
from console.tui.scrolling import Scroll, find_scroll
from console.tui.sgr import PLAIN, alike_on_blank, blank_look, look_of

# Up to this many unchanged cells between two changes are written again: a move costs 3 bytes.
_SHORT_GAP = 3
# From this many blanks on, erasing the line's end is shorter: 3 bytes and a change of look.
_LONG_BLANK = 6


class Row:
    """One line of cells: their texts ("" is the second half of a wide one) and looks (`sgr`)."""

    __slots__ = ("looks", "texts")

    def __init__(self, width: int) -> None:
        self.texts = [" "] * width
        self.looks = [PLAIN] * width

    def put(self, x: int, texts: list[str], looks: list[str]) -> None:
        """Replace the cells from `x` on; what does not fit is cut off.

        A wide character of which one half is replaced or cut off becomes blank, as terminals do.
        """
        room = len(self.texts) - x
        if len(texts) > room:
            if not texts[room]:
                texts[room - 1] = " "
            del texts[room:], looks[room:]
        end = x + len(texts)
        if not self.texts[x]:
            self.texts[x - 1] = " "
        if end < len(self.texts) and not self.texts[end]:
            self.texts[end] = " "
        self.texts[x:end] = texts
        self.looks[x:end] = looks

    def same_as(self, other: Row) -> bool:
        return self.texts == other.texts and self.looks == other.looks

    def copy(self, other: Row) -> None:
        self.texts[:] = other.texts
        self.looks[:] = other.looks


class Picture:
    """The wanted and the shown cells of a terminal of `width` x `height` cells.

    `put` changes what is wanted, `update` says what to write. Frames may be left out: the next
    `update` starts from what was really written.
    """

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self._wanted = [Row(width) for _ in range(height)]
        self._shown: list[Row] | None = None  # unknown
        self._touched: set[int] = set()

    def forget(self) -> None:
        """The terminal shows something unknown: the next update clears it and writes everything."""
        self._shown = None

    def resize(self, width: int, height: int) -> None:
        """Take another size; what is wanted stays, cut or filled with blanks."""
        rows = [Row(width) for _ in range(height)]
        if width:
            for row, old in zip(rows, self._wanted, strict=False):
                row.put(0, old.texts, old.looks)
        self._wanted = rows
        self.size = (width, height)
        self.forget()

    def put(self, x: int, y: int, segments: Iterable[Segment], colors: ColorSystem) -> None:
        """Want `segments` from cell `x` of line `y` on; what lies outside is ignored."""
        texts: list[str] = []
        looks: list[str] = []
        for text, style, control in segments:
            if not control:
                cells = split_cells(text)
                texts += cells
                looks += [look_of(style, colors)] * len(cells)
        if texts and y < self.size[1] and x < self.size[0]:
            self._wanted[y].put(x, texts, looks)
            self._touched.add(y)

    def update(self) -> str:
        """What to write so that the terminal shows what is wanted; "" where it does already."""
        pen = Pen(self.size[0])
        if self._shown is None:
            pen.clear()
            width, height = self.size
            self._shown = [Row(width) for _ in range(height)]
            self._touched = set(range(height))
        wanted, shown = self._wanted, self._shown
        changed = [y for y in sorted(self._touched) if not wanted[y].same_as(shown[y])]
        scroll = find_scroll([row.texts for row in wanted], [row.texts for row in shown], changed)
        if scroll is not None:
            pen.scroll(scroll)
            _scroll(shown, scroll)
            moved = {*changed, *range(scroll.top, scroll.bottom + 1)}
            changed = [y for y in sorted(moved) if not wanted[y].same_as(shown[y])]
        for y in changed:
            _write_row(pen, y, wanted[y], shown[y])
            shown[y].copy(wanted[y])
        self._touched.clear()
        return pen.finish()


def _scroll(rows: list[Row], scroll: Scroll) -> None:
    top, end, lines = scroll.top, scroll.bottom + 1, scroll.lines
    blank = [Row(len(rows[top].texts)) for _ in range(abs(lines))]
    rows[top:end] = (
        rows[top + lines : end] + blank if lines > 0 else blank + rows[top : end + lines]
    )


def _write_row(pen: Pen, y: int, wanted: Row, shown: Row) -> None:
    texts, looks = wanted.texts, wanted.looks
    # All cells in C, the few that differ in Python: this runs for every row of every frame.
    differ = map(or_, map(ne, texts, shown.texts), map(ne, looks, shown.looks))
    changed = [
        x
        for x in compress(range(len(texts)), differ)
        if texts[x] != shown.texts[x]
        or texts[x] != " "
        or not alike_on_blank(looks[x], shown.looks[x])
    ]
    if not changed:
        return
    blank_from = _blank_tail(wanted, changed)
    done = 0  # the first cell that is not written yet
    for x in changed:
        if x >= blank_from:
            pen.erase_line_from(x, y)
            return
        first = x if texts[x] else x - 1  # a wide character is written whole
        if first < done:
            continue
        if pen.x == done and first - done <= _SHORT_GAP:
            gap = range(done, first)
            if all(pen.would_only_write(texts[at], looks[at]) for at in gap):
                for at in gap:
                    pen.write(at, y, texts[at], looks[at], 1)
        done = first + (2 if texts[first + 1 : first + 2] == [""] else 1)
        pen.write(first, y, texts[first], looks[first], done - first)


def _blank_tail(row: Row, changed: list[int]) -> int:
    """Where the blanks begin that are worth erasing to the end of the line; else past its end."""
    end = start = len(row.texts)
    while start and row.texts[start - 1] == " " and blank_look(row.looks[start - 1]) == PLAIN:
        start -= 1
    return start if sum(x >= start for x in changed) >= _LONG_BLANK else end
