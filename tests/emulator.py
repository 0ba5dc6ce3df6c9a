"""A terminal's screen: pyte, mended where it differs from the terminals people use."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pyte
from pyte.screens import Char
from rich.cells import split_graphemes

_ALTERNATE_SCREEN = 1049
_JOINER = "\u200d"
# Kitty's keyboard protocol, and DECRQM; pyte would print their last letter.
_NOT_FOR_PYTE = re.compile(r"\x1b\[(?:[<>=][\d;]*u|\?\d+\$p)")


class Emulator(pyte.Screen):
    """A screen fed with text.

    Unlike pyte's own it keeps clusters of code points in one cell, measured as Textual measures
    them, blanks the other half of a wide character that is half overwritten, and clears the
    alternate screen when it is entered.
    """

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__(columns, lines)
        self._stream = pyte.Stream(self)

    def feed(self, text: str) -> None:
        self._stream.feed(_NOT_FOR_PYTE.sub("", text))

    def set_mode(self, *modes: int, **kwargs: Any) -> None:
        super().set_mode(*modes, **kwargs)
        if kwargs.get("private") and _ALTERNATE_SCREEN in modes:
            self.erase_in_display(2)

    def draw(self, data: str) -> None:
        for start, end, width in split_graphemes(data)[0]:
            self._draw_cluster(data[start:end], width)
        self.dirty.add(self.cursor.y)

    def _draw_cluster(self, text: str, width: int) -> None:
        line = self.buffer[self.cursor.y]
        if not width:
            x = self.cursor.x - 1
            if x > 0 and not line[x].data:
                x -= 1
            if x >= 0:
                line[x] = line[x]._replace(data=line[x].data + text)
            return
        if self.cursor.x + width > self.columns:
            if pyte.modes.DECAWM in self.mode:
                self.carriage_return()
                self.linefeed()
                line = self.buffer[self.cursor.y]
            else:
                self.cursor.x = self.columns - width
        x = self.cursor.x
        if x > 0 and not line[x].data:
            line[x - 1] = line[x - 1]._replace(data=" ")
        if x + width < self.columns and not line[x + width].data:
            line[x + width] = line[x + width]._replace(data=" ")
        line[x] = self.cursor.attrs._replace(data=text)
        if width > 1:
            line[x + 1] = self.cursor.attrs._replace(data="")
        self.cursor.x = x + width

    def lines_of_text(self) -> list[str]:
        """The screen's lines, without blanks at their ends."""
        return ["".join(cell.data for cell in row).rstrip() for row in self.rows()]

    def rows(self) -> Iterable[list[Char]]:
        for y in range(self.lines):
            line = self.buffer[y]
            yield [line[x] for x in range(self.columns)]

    def seen(self) -> list[list[Char]]:
        """The cells as a person sees them.

        A space shows no foreground, no bold, no italics; a joiner that joins nothing is unseen.
        """
        return [[_as_seen(cell) for cell in row] for row in self.rows()]


def _as_seen(cell: Char) -> Char:
    if cell.data != " " or cell.underscore or cell.strikethrough or cell.reverse:
        return cell._replace(data=cell.data.rstrip(_JOINER))
    return Char(" ", bg=cell.bg)


def differences(left: Emulator, right: Emulator) -> list[str]:
    """What a person would see differ, one line for each cell; empty if the screens are equal."""
    if (left.columns, left.lines) != (right.columns, right.lines):
        return [f"sizes: {left.columns}x{left.lines} and {right.columns}x{right.lines}"]
    return [
        f"line {y} column {x}: {a} and {b}"
        for y, (left_row, right_row) in enumerate(zip(left.seen(), right.seen(), strict=True))
        for x, (a, b) in enumerate(zip(left_row, right_row, strict=True))
        if a != b
    ]
