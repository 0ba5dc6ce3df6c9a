"""One line of the screen, from pieces of text with tones. All text is made safe here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from console.text import clean
from console.tui.look.look import Look

Piece = tuple[str, str]
"""Text and its tone."""


Cut = Literal["start", "middle", "end"]


def fit(text: str, width: int, look: Look, *, right: bool = False, cut: Cut = "end") -> str:
    """`text`, made safe, in exactly `width` cells; where it was cut is marked."""
    text = clean(text)
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        if width <= 0:
            return ""
        kept = {"start": width - 1, "middle": (width - 1) // 2, "end": 0}[cut]
        tail = _end_of(text, kept)
        head = set_cell_size(text, width - 1 - cell_len(tail))
        return head + look.glyphs.more + tail
    return " " * (width - length) + text if right else text + " " * (width - length)


def _end_of(text: str, width: int) -> str:
    """As many of the last characters as `width` cells hold."""
    start = len(text)
    while start and cell_len(text[start - 1 :]) <= width:
        start -= 1
    return text[start:]


def draw(pieces: Iterable[Piece], width: int, look: Look, *, base: Style, fill: str = "") -> Strip:
    """The pieces as a strip of exactly `width` cells, over the style `base`.

    Neighbours of one tone become one segment. `fill` is the tone of the rest of the line.
    """
    segments: list[Segment] = []
    room = width
    for text, tone in pieces:
        if room <= 0:
            break
        safe = clean(text)
        length = len(safe) if safe.isascii() else cell_len(safe)
        if length > room:
            safe, length = fit(safe, room, look), room
        if safe:
            segments.append(Segment(safe, base + look.style(tone)))
        room -= length
    if room > 0:
        segments.append(Segment(" " * room, base + look.style(fill)))
    return Strip(Segment.simplify(segments), width)


def spread(
    left: Sequence[Piece], right: Sequence[Piece], width: int, look: Look, *, base: Style
) -> Strip:
    """`left` at the left end, `right` at the right one; the left is cut first."""
    right_width = sum(cell_len(clean(text)) for text, _ in right)
    if right_width >= width:
        return draw(right, width, look, base=base)
    left_strip = draw(left, width - right_width, look, base=base)
    return Strip.join([left_strip, draw(right, right_width, look, base=base)])
