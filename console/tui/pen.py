"""Writes cells with the shortest cursor moves and style changes."""

from __future__ import annotations

from console.tui.scrolling import Scroll
from console.tui.sgr import PLAIN, alike_on_blank, blank_look, change_look


class Pen:
    """Collects one frame for the terminal.

    A frame stands alone: it begins with an absolute move and ends in the default look, so that
    what others write in between (a bell, a message from `wall`) does no lasting harm.
    """

    __slots__ = ("_columns", "_look", "_parts", "_y", "x")

    def __init__(self, columns: int) -> None:
        self.x: int | None = None
        """The cursor's column; None where terminals may differ."""
        self._y: int | None = None
        self._columns = columns
        self._look = PLAIN
        self._parts: list[str] = []

    def clear(self) -> None:
        """Make the whole screen blank."""
        self._parts.append("\x1b[m\x1b[2J")

    def scroll(self, scroll: Scroll) -> None:
        """Move whole lines, inside margins: all terminals since the VT102 can. First in a frame."""
        count = abs(scroll.lines)
        self._parts.append(f"\x1b[{scroll.top + 1};{scroll.bottom + 1}r\x1b[{scroll.top + 1}H")
        self._parts.append(
            f"\x1b[{count if count > 1 else ''}{'M' if scroll.lines > 0 else 'L'}\x1b[r"
        )

    def write(self, x: int, y: int, text: str, look: str, width: int) -> None:
        """Write a cell, or a wide character with `width` 2, at (x, y)."""
        if x != self.x or y != self._y:
            self._move(x, y)
        if look != self._look and not (text == " " and alike_on_blank(look, self._look)):
            self._parts.append(change_look(self._look, look))
            self._look = look
        self._parts.append(text)
        after = x + width
        # Terminals differ in how far a cluster of code points goes, and after the last column.
        self.x = after if after < self._columns and len(text) == 1 else None

    def would_only_write(self, text: str, look: str) -> bool:
        """Whether the cell costs one byte here: ASCII, no change of look."""
        return (
            len(text) == 1
            and text.isascii()
            and (look == self._look or (text == " " and alike_on_blank(look, self._look)))
        )

    def erase_line_from(self, x: int, y: int) -> None:
        """Make the line blank from (x, y) on, in the default look (terminals agree on no other)."""
        if x != self.x or y != self._y:
            self._move(x, y)
        if blank_look(self._look) != PLAIN:
            self._parts.append(change_look(self._look, PLAIN))
            self._look = PLAIN
        self._parts.append("\x1b[K")

    def finish(self) -> str:
        """The frame; "" if nothing was written."""
        if self._look != PLAIN:
            self._parts.append(change_look(self._look, PLAIN))
            self._look = PLAIN
        return "".join(self._parts)

    def _move(self, x: int, y: int) -> None:
        self._parts.append(_shortest_move(self.x, self._y, x, y))
        self.x, self._y = x, y


def _shortest_move(from_x: int | None, from_y: int | None, x: int, y: int) -> str:
    ways = [f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1 if y else ''}H"]
    if y == from_y:
        ways.append(f"\x1b[{x + 1}G" if x else "\r")
        if from_x is not None:
            ways.append(_step(x - from_x, "C", "D"))
            ways.append("\b" * (from_x - x) or ways[0])
    elif from_y is not None:
        if x == from_x:
            ways.append(_step(y - from_y, "B", "A"))
        if not x and y == from_y + 1:
            ways.append("\r\n")
    return min(ways, key=len)


def _step(distance: int, forward: str, back: str) -> str:
    count = abs(distance)
    return f"\x1b[{'' if count == 1 else count}{forward if distance > 0 else back}"
