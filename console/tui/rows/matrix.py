"""Images by nodes as rows: a column for each node, and what its cells say."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from console.fleet.picture import NodeView
from console.images.matrix import ImageLine
from console.text import plural
from console.tui.look import words
from console.tui.look.glyphs import Glyphs
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.images import short
from console.tui.shelf import Shelf
from console.tui.widgets.line import Piece

IMAGE_COLUMNS = (
    Column("image", "IMAGE", (18, 24, 32, 40)),
    Column("nodes", "ON", (5, 5, 7, 7), "right", largest_first=True),
    Column("differs", "DIFF", (4, 4, 4, 4), "right", largest_first=True),
    Column("size", "SIZE", (0, 0, 5, 5), "right", largest_first=True),
    Column("used", "USED", (0, 0, 4, 4), "right", largest_first=True),
    Column("id", "ID", (0, 0, 0, 12)),
)
"""Those that stay where they are; the nodes' come behind them."""

_FEW_DIGITS, _MORE_DIGITS = 4, 8
_HAS = Cell("yes", "good", sort=3)
_HAD = Cell("yes", "dim", sort=3)
_LACKS = Cell("-", "dim", sort=1, data="no")


class NodeHead(NamedTuple):
    """A node as the head of a column. `age` is of what it said last; "" while that is of now."""

    name: str
    production: bool
    answered: bool
    age: str = ""


def node_head(view: NodeView, shelf: Shelf) -> NodeHead:
    """As the node is now."""
    name = view.name
    read_at = shelf.read_at.get(name)
    seconds: float | None = None
    if read_at is not None and (view.state != "live" or name in shelf.problems):
        seconds = max(0.0, time.time() - read_at)
    elif read_at is None and view.state != "live":
        seconds = view.age_seconds()
    age = "" if seconds is None else words.age(seconds)
    return NodeHead(name, view.entry.production, name in shelf.images, age)


def node_column(head: NodeHead) -> Column:
    """Its place in the table is worked out elsewhere."""
    return Column(f"@{head.name}", head.name, (0, 0, 0, 0), largest_first=True)


def matrix_rows(lines: Iterable[ImageLine], heads: Sequence[NodeHead], glyphs: Glyphs) -> list[Row]:
    """A row for each line; its key is the line's."""
    unknown = {head.name: _unknown(head) for head in heads if not head.answered}
    asked = [head for head in heads if head.answered]
    return [_row(line, heads, len(asked), unknown, glyphs) for line in lines]


def _row(
    line: ImageLine,
    heads: Sequence[NodeHead],
    answered: int,
    unknown: dict[str, Cell],
    glyphs: Glyphs,
) -> Row:
    others = {
        image.id: (_other(image.id, glyphs, "warn"), _other(image.id, glyphs, "dim"))
        for image in line.images[1:]
    }

    def cell(head: NodeHead) -> Cell:
        if not head.answered:
            return unknown[head.name]
        image = line.on.get(head.name)
        if image is None:
            return _LACKS
        if image is line.usual:
            return _HAD if head.age else _HAS
        return others[image.id][bool(head.age)]

    used = sum(len(image.containers) for image in line.images)
    others_on = sum(len(image.nodes) for image in line.images[1:])
    having = len(line.on)
    cells = (
        Cell(line.tag or "(no name)", "" if line.tag else "dim", sort=line.tag or None),
        Cell(
            str(having),
            "good" if having == answered else "",
            sort=having,
            wide=f"{having}/{answered}",
        ),
        Cell(f"{glyphs.differs}{others_on}" if others_on else "", "warn", sort=others_on),
        Cell(words.size(line.usual.size_bytes), sort=line.usual.size_bytes),
        Cell(str(used) if used else "", sort=used),
        Cell(short(line.usual.id), "dim"),
        *map(cell, heads),
    )
    # Cells of nodes are the same few words again and again: nobody looks for those.
    ids = [short(image.id) for image in line.images]
    return make_row(line.key, "", cells, find=" ".join([line.key, *ids, *line.on]))


def _other(image_id: str, glyphs: Glyphs, tone: str) -> Cell:
    """Another image than most nodes have; which one is told apart by its id."""
    digits = short(image_id)
    return Cell(
        f"{glyphs.differs}{digits[:_FEW_DIGITS]}",
        tone,
        sort=2,
        wide=f"{glyphs.differs}{digits[:_MORE_DIGITS]}",
        data=f"other {digits}",
    )


def _unknown(head: NodeHead) -> Cell:
    # Seconds stand in the head only: in a cell of every row they cost a slow line too much.
    age = "" if head.age.endswith("s") else head.age
    return Cell(f"? {age}".rstrip(), "warn", data=words.UNKNOWN)


def about_line(line: ImageLine, heads: Sequence[NodeHead], glyphs: Glyphs) -> list[Piece]:
    """One image in words: what most ask about it first."""
    lacking = [head.name for head in heads if head.answered and head.name not in line.on]
    unknown = [head.name for head in heads if not head.answered]
    used = sorted({name for image in line.images for name in image.containers})
    pieces: list[Piece] = [(f" {line.tag or short(line.usual.id)}", "accent")]
    for image in line.images[1:]:
        text = f"  {glyphs.differs}{short(image.id)} on {_some(image.nodes)}"
        pieces.append((text, "warn"))
    if lacking and not line.differs and len(line.on) < len(lacking):
        pieces.append((f"  yes, on {_some(list(line.on))}", "good"))
    elif lacking:
        pieces.append((f"  - not on {_some(lacking)}", ""))
    elif not unknown and not line.differs:
        pieces.append(("  yes, on all of them" if len(heads) > 1 else "  yes", "good"))
    if unknown:
        pieces.append((f"  ? {_some(unknown)}", "warn"))
    pieces.append((f"  {words.size(line.usual.size_bytes)} {short(line.usual.id)}", "dim"))
    if used:
        pieces.append((f"  used by {_some(used)}", "dim"))
    return pieces


def _some(names: Sequence[str], most: int = 4) -> str:
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {plural(len(names) - most + 1, 'other')}"
