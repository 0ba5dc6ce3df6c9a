"""Images by nodes: which node has what, and which names mean different images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import msgspec

from agent.protocol.images import NodeImage

UNTAGGED = ""


class SameImage(msgspec.Struct, kw_only=True):
    """One image, and the nodes that have it under one name."""

    tag: str  # `UNTAGGED`: it has no name
    id: str  # its config's digest, or the runtime's own id where that is not known
    size_bytes: int
    nodes: list[str]
    containers: list[str]  # made from it, on all nodes


class ImageLine:
    """A line of the matrix: one name, or one image that has none."""

    def __init__(self, images: Sequence[SameImage]) -> None:
        """`images`: those of that name, the most common one first."""
        self.images = images

    @property
    def tag(self) -> str:
        return self.images[0].tag

    @property
    def key(self) -> str:
        """What it is called: the name, or the id of an image without one."""
        return self.tag or self.images[0].id

    @property
    def usual(self) -> SameImage:
        """The image that most nodes have under the name."""
        return self.images[0]

    @property
    def differs(self) -> bool:
        """Whether the name is different images on different nodes."""
        return len(self.images) > 1

    @cached_property
    def on(self) -> Mapping[str, SameImage]:
        """Which image the name is, by node; a node that lacks it is not there."""
        return {node: image for image in reversed(self.images) for node in image.nodes}


def lines_of(rows: Iterable[SameImage]) -> list[ImageLine]:
    """What `by_name` gave, with one line for each name."""
    lines: dict[tuple[str, str], list[SameImage]] = {}
    for row in rows:
        lines.setdefault((row.tag, "" if row.tag else row.id), []).append(row)
    return [ImageLine(images) for images in lines.values()]


def by_name(found: Mapping[str, Iterable[NodeImage]]) -> list[SameImage]:
    """The images of all nodes (by the node's name), by tag, the most common one first.

    Two are the same where all layers are, and the configs as far as they are known: the
    containerd store does not always tell.
    """
    rows: dict[tuple[str, str], SameImage] = {}
    names = _identities(image for images in found.values() for image in images)
    for node, images in found.items():
        for image in images:
            for tag in image.tags or [UNTAGGED]:
                identity = _identity(image, names)
                row = rows.setdefault(
                    (tag, identity),
                    SameImage(
                        tag=tag, id=identity, size_bytes=image.size_bytes, nodes=[], containers=[]
                    ),
                )
                if not row.nodes or row.nodes[-1] != node:
                    row.nodes.append(node)
                row.containers += [each for each in image.containers if each not in row.containers]
    return sorted(rows.values(), key=lambda row: (row.tag, -len(row.nodes), row.id))


def differing(rows: Iterable[SameImage]) -> list[str]:
    """Names that are different images on different nodes."""
    seen: set[str] = set()
    found = []
    for row in rows:
        if row.tag in seen and row.tag != UNTAGGED and row.tag not in found:
            found.append(row.tag)
        seen.add(row.tag)
    return found


def _identities(images: Iterable[NodeImage]) -> dict[str, set[str]]:
    """Layers to the configs that are known of images with these layers."""
    known: dict[str, set[str]] = {}
    for image in images:
        if image.config_digest is not None:
            known.setdefault(_layers(image), set()).add(image.config_digest)
    return known


def _identity(image: NodeImage, known: Mapping[str, set[str]]) -> str:
    if image.config_digest is not None:
        return image.config_digest
    configs = known.get(_layers(image), set())
    return next(iter(configs)) if len(configs) == 1 else image.id


def _layers(image: NodeImage) -> str:
    # Without any, it is like no other.
    return ",".join(image.diff_ids) or image.id
