"""Images as rows: one name across the fleet, and one image on each node."""

from __future__ import annotations

import time
from collections.abc import Sequence

from agent.protocol.images import NodeImage
from console.fleet.picture import NodeView
from console.images.matrix import SameImage
from console.text import plural
from console.tui.look import words
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.containers import SHORT_ID
from console.tui.rows.fleet import age_cell
from console.tui.shelf import Shelf

COLUMNS = (
    Column("image", "IMAGE", (24, 33, 40, 50), grow=24),
    Column("nodes", "NODES", (7, 7, 7, 8), "right", largest_first=True),
    Column("differs", "DIFFERS", (11, 11, 24, 36), grow=20, largest_first=True),
    Column("size", "SIZE", (5, 5, 5, 6), "right", largest_first=True),
    Column("used", "USED", (4, 4, 5, 6), "right", largest_first=True),
    Column("id", "ID", (0, 12, 12, 12)),
    Column("lacking", "NOT ON", (0, 0, 14, 40), grow=80),
)

NODE_COLUMNS = (
    Column("node", "NODE", (14, 16, 20, 24), grow=10),
    Column("has", "HAS", (8, 9, 9, 9)),
    Column("id", "ID", (12, 12, 12, 12)),
    Column("size", "SIZE", (5, 5, 5, 6), "right", largest_first=True),
    Column("built", "BUILT", (5, 5, 5, 5)),
    Column("used", "USED BY", (9, 14, 24, 40), grow=30),
    Column("age", "AGE", (0, 3, 3, 4), largest_first=True),
    Column("reason", "WHY", (0, 7, 30, 50), grow=40),
)


def image_rows(same: Sequence[SameImage], names: Sequence[str]) -> list[Row]:
    """For the table across the fleet; a row's key is the tag, or the id of what has none.

    Args:
        same: as `console.images.matrix.by_name` gives them.
        names: the nodes that answered.
    """
    by_key: dict[str, list[SameImage]] = {}
    for image in same:
        by_key.setdefault(image.tag or image.id, []).append(image)
    return [_image_row(key, images, names) for key, images in by_key.items()]


def _image_row(key: str, images: list[SameImage], names: Sequence[str]) -> Row:
    first, *others = images
    having = {node for image in images for node in image.nodes}
    lacking = [name for name in names if name not in having]
    used = sum(len(image.containers) for image in images)
    cells = (
        Cell(first.tag or "(no name)", "" if first.tag else "dim", sort=first.tag or None),
        Cell(f"{len(having)}/{len(names)}", "" if lacking else "good", sort=len(having)),
        _differs(images, others),
        Cell(words.size(first.size_bytes), sort=first.size_bytes),
        Cell(str(used) if used else "", sort=used),
        Cell(short(first.id), "dim"),
        Cell(", ".join(lacking), "dim"),
    )
    return make_row(key, "", cells, more=" ".join([key, *sorted(having)]))


def _differs(images: list[SameImage], others: list[SameImage]) -> Cell:
    """Where the name is another image than on most nodes."""
    if not others:
        return Cell("", sort=0)
    text = f"{len(images)} images"
    where = ", ".join(node for image in others for node in image.nodes)
    return Cell(text, "warn", sort=len(images), wide=f"{text}: other on {where}")


def on_node_row(view: NodeView, shelf: Shelf, key: str, usual: str | None) -> Row:
    """One image on one node; a row's key is the node. `usual` is its id on most nodes."""
    name = view.name
    image = image_on(shelf, name, key)
    problem = shelf.problems.get(name)
    cells = (
        Cell(name, sort=name, tag="PROD" if view.entry.production else ""),
        _has(image, answered=name in shelf.images, usual=usual),
        Cell(short(image.config_digest or image.id) if image else "", sort=None),
        Cell(words.size(image.size_bytes), sort=image.size_bytes) if image else Cell(""),
        _built(image),
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


def _has(image: NodeImage | None, *, answered: bool, usual: str | None) -> Cell:
    if not answered:
        return Cell("unknown", "warn", sort=0)
    if image is None:
        return Cell("no", "dim", sort=1)
    if usual is not None and usual not in {image.id, image.config_digest}:
        return Cell("another", "warn", sort=2)
    return Cell("yes", "good", sort=3)


def _built(image: NodeImage | None) -> Cell:
    if image is None:
        return Cell("")
    if image.created_at is None:
        return Cell(words.UNKNOWN)
    age = words.age(max(0.0, time.time() - image.created_at))
    return Cell(age, sort=-image.created_at)


def _used(image: NodeImage | None) -> Cell:
    if image is None or not image.containers:
        return Cell("", sort=0)
    count = len(image.containers)
    names = ", ".join(sorted(image.containers))
    return Cell(plural(count, "ctr") if count > 1 else names, sort=count, wide=names)
