"""Images as rows: one name across the fleet, and one image on each node."""

from __future__ import annotations

import time

from agent.protocol.images import NodeImage
from console.fleet.picture import NodeView
from console.images.matrix import ImageLine
from console.text import plural
from console.tui.look import words
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.containers import SHORT_ID
from console.tui.rows.fleet import age_cell
from console.tui.shelf import Shelf

NODE_COLUMNS = (
    Column("node", "NODE", (14, 16, 20, 24), grow=10),
    Column("has", "HAS", (8, 9, 9, 9)),
    Column("id", "ID", (12, 12, 12, 12)),
    Column("size", "SIZE", (5, 5, 5, 6), "right", largest_first=True),
    Column("since", "SINCE", (5, 5, 5, 5)),
    Column("built", "BUILT", (0, 5, 5, 5)),
    Column("used", "USED BY", (9, 9, 20, 40), grow=30),
    Column("age", "AGE", (0, 3, 3, 4), largest_first=True),
    Column("reason", "WHY", (0, 7, 28, 50), grow=40),
)


def on_node_row(view: NodeView, shelf: Shelf, key: str, line: ImageLine | None) -> Row:
    """One image on one node; a row's key is the node. `line` is that image on all nodes."""
    name = view.name
    image = image_on(shelf, name, key)
    problem = shelf.problems.get(name)
    cells = (
        Cell(name, sort=name, tag="PROD" if view.entry.production else ""),
        _has(line, name, answered=name in shelf.images),
        Cell(short(image.config_digest or image.id) if image else "", sort=None),
        Cell(words.size(image.size_bytes), sort=image.size_bytes) if image else Cell(""),
        _moment(image, image.tagged_at if image else None),
        _moment(image, image.created_at if image else None),
        _used(image),
        age_cell(view),
        Cell(problem.detail, "warn")
        if problem is not None
        else Cell((image.protected or "") if image else "", "dim"),
    )
    return make_row(name, name, cells, dim=view.state != "live", loud=1)


def image_on(shelf: Shelf, node: str, key: str) -> NodeImage | None:
    """The image of that tag or id on a node."""
    for image in shelf.images.get(node, ()):
        if key in image.tags or key in {image.id, image.config_digest}:
            return image
    return None


def short(image_id: str) -> str:
    """An image's id as people write it."""
    return image_id.removeprefix("sha256:")[:SHORT_ID]


def _has(line: ImageLine | None, node: str, *, answered: bool) -> Cell:
    if not answered:
        return Cell("unknown", "warn", sort=0)
    image = line.on.get(node) if line is not None else None
    if line is None or image is None:
        return Cell("no", "dim", sort=1)
    if image is not line.usual:
        return Cell("another", "warn", sort=2)
    return Cell("yes", "good", sort=3)


def _moment(image: NodeImage | None, at: float | None) -> Cell:
    """How long ago, of an image that is there."""
    if image is None:
        return Cell("")
    if at is None:
        return Cell(words.UNKNOWN)
    return Cell(words.age(max(0.0, time.time() - at)), sort=-at)


def _used(image: NodeImage | None) -> Cell:
    if image is None or not image.containers:
        return Cell("", sort=0)
    count = len(image.containers)
    names = ", ".join(sorted(image.containers))
    return Cell(plural(count, "ctr") if count > 1 else names, sort=count, wide=names)
