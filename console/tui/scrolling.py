"""Finds lines that only moved, so that the terminal can move them itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

# Moving costs about 20 bytes, and what moved although it should not is written again.
_FEWEST_LINES = 3
# A scroll bar at the right edge does not move with its lines.
_SCROLL_BAR = 2


class Scroll(NamedTuple):
    """The lines from `top` to `bottom` move up by `lines`; down if it is negative."""

    top: int
    bottom: int
    lines: int


def find_scroll(
    wanted: Sequence[Sequence[str]], shown: Sequence[Sequence[str]], changed: Sequence[int]
) -> Scroll | None:
    """The move that puts most `changed` lines of `wanted` in place; None if none is worth it.

    Only whole lines of the screen are moved: terminals have no other way that all of them know.
    """
    if len(changed) < _FEWEST_LINES:
        return None
    places = {"": -1}
    for y in changed:
        key = _key(shown[y])
        places[key] = -1 if key in places else y  # blank, or there twice
    moves = {y: place - y for y in changed if (place := places.get(_key(wanted[y]), -1)) >= 0}
    lines, count = Counter(moves.values()).most_common(1)[0] if moves else (0, 0)
    if not lines or count < _FEWEST_LINES:
        return None
    moved = [y for y, move in moves.items() if move == lines]
    top, bottom = min(moved) + min(0, lines), max(moved) + max(0, lines)
    # Else most of the region is content that must stay.
    return Scroll(top, bottom, lines) if 2 * count > bottom - top - abs(lines) else None


def _key(texts: Sequence[str]) -> str:
    return "".join(texts[:-_SCROLL_BAR]).rstrip()
