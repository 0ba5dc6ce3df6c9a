"""Which of several images of one name a node would get, and who has it to be looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from agent.protocol.images import NodeImage
from agent.rules.references import familiar


class Held(msgspec.Struct, kw_only=True):
    """One image, and the nodes that have it."""

    image: NodeImage
    nodes: list[str]

    @property
    def digest(self) -> str:
        return self.image.config_digest or self.image.id


def holders(name: str, found: Mapping[str, Sequence[NodeImage]]) -> list[Held]:
    """All images that are meant by `name` (a tag, or the start of an id); the most common first."""
    held: dict[tuple[str, ...], Held] = {}
    meant = _meant(name)
    for node, images in found.items():
        for image in images:
            if meant(image):
                # What has no layers is like no other.
                key = tuple(image.diff_ids) or (image.id,)
                held.setdefault(key, Held(image=image, nodes=[])).nodes.append(node)
    return sorted(held.values(), key=lambda each: -len(each.nodes))


def by_tag(found: Mapping[str, Sequence[NodeImage]]) -> dict[str, list[Held]]:
    """The images of every tag that some node has; of each tag the most common one first."""
    tags: dict[str, dict[tuple[str, ...], Held]] = {}
    for node, images in found.items():
        for image in images:
            key = tuple(image.diff_ids) or (image.id,)
            for tag in image.tags:
                held = tags.setdefault(tag, {}).setdefault(key, Held(image=image, nodes=[]))
                held.nodes.append(node)
    return {
        tag: sorted(held.values(), key=lambda each: -len(each.nodes)) for tag, held in tags.items()
    }


def for_node(node: str, architecture: str, held: Sequence[Held]) -> Held:
    """The one that it has, else one for its CPU, else the most common."""
    for each in held:
        if node in each.nodes:
            return each
    fitting = [each for each in held if each.image.architecture == architecture]
    return (fitting or list(held))[0]


def _meant(name: str) -> Callable[[NodeImage], bool]:
    tag = familiar(name)
    digits = name.removeprefix("sha256:")
    is_id = len(digits) >= 6 and not set(digits) - set("0123456789abcdef")

    def meant(image: NodeImage) -> bool:
        return tag in image.tags or (
            is_id and any(each.startswith(f"sha256:{digits}") for each in _ids(image))
        )

    return meant


def _ids(image: NodeImage) -> list[str]:
    return [image.id, *([image.config_digest] if image.config_digest else [])]
