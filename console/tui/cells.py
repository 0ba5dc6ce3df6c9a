"""Text as the terminal shows it: one string per cell."""

from __future__ import annotations

from functools import lru_cache
from unicodedata import category

from rich.cells import cell_len, split_graphemes

WIDE = 2
# A character that has a width but must not reach the terminal raw, or cannot be encoded.
UNSHOWABLE = "?"
_ZERO_WIDTH_JOINER = "\u200d"


@lru_cache(maxsize=4096)
def split_cells(text: str) -> tuple[str, ...]:
    """Split `text` into cells, measured as Textual's layout measures it.

    A wide character takes two cells, the second of them empty. Marks of no width join the cell
    before them. Control and format characters (escape codes, bidirectional overrides) are dropped,
    whatever put them into a widget; they have no width.
    """
    if text.isascii() and text.isprintable():
        return tuple(text)
    cells: list[str] = []
    for start, end, width in split_graphemes(text)[0]:
        if not width:
            continue  # a mark with nothing before it
        grapheme = text[start:end]
        if not grapheme.isprintable():
            # A joiner at the end has nothing to join, and must not take what comes next.
            grapheme = "".join(filter(_showable, grapheme)).rstrip(_ZERO_WIDTH_JOINER)
            if cell_len(grapheme) != width:
                grapheme = UNSHOWABLE * width
        cells.append(grapheme)
        if width == WIDE:
            cells.append("")
    return tuple(cells)


def _showable(character: str) -> bool:
    hidden = category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return not hidden or character == _ZERO_WIDTH_JOINER
