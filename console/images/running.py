"""Which images run where: the same image on several nodes is one."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agent.protocol.containers import Container
from agent.protocol.images import NodeImage

RUNNING = frozenset({"running", "paused", "restarting"})


class Seen(msgspec.Struct, kw_only=True):
    """What a node said."""

    images: list[NodeImage]
    containers: list[Container] = []


class Group(msgspec.Struct, kw_only=True):
    """One image, the nodes that have it, and what runs it there."""

    image: NodeImage
    nodes: list[str]
    runs: dict[str, list[str]]  # by node, the names of containers

    @property
    def digest(self) -> str:
        return self.image.config_digest or self.image.id

    @property
    def name(self) -> str:
        """What people call it."""
        return self.image.tags[0] if self.image.tags else self.digest


def groups_of(seen: Mapping[str, Seen], *, unused: bool) -> list[Group]:
    """The images that containers run, by name; with `unused` all that are there."""
    found: dict[tuple[str, ...], Group] = {}
    for node, said in seen.items():
        running = {each.name for each in said.containers if each.state in RUNNING}
        for image in said.images:
            runs = sorted(running & set(image.containers))
            if not runs and not unused:
                continue
            # What has no layers is like no other.
            key = tuple(image.diff_ids) or (image.id,)
            group = found.setdefault(key, Group(image=image, nodes=[], runs={}))
            if node not in group.nodes:
                group.nodes.append(node)
            if runs:
                group.runs.setdefault(node, []).extend(runs)
    return sorted(found.values(), key=lambda group: (group.name, group.digest))
