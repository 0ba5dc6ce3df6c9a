"""Whether two nodes' images are the same one, whatever their stores call them."""

from __future__ import annotations

from agent.protocol.images import NodeImage
from agent.protocol.snapshots import NodeSnapshot


def one_store(one: NodeSnapshot, other: NodeSnapshot) -> bool:
    """Whether both runtimes call an image the same."""
    before, after = one.facts.runtime, other.facts.runtime
    return before.image_store is not None and before.image_store == after.image_store


def same_image(one: NodeImage, other: NodeImage, *, alike: bool) -> bool | None:
    """None: it cannot be told.

    Args:
        alike: whether both are of stores that call an image the same.
    """
    if one.id == other.id:
        return True
    if one.config_digest is not None and other.config_digest is not None:
        return one.config_digest == other.config_digest
    if alike:
        return False
    if one.diff_ids and other.diff_ids:
        return one.diff_ids == other.diff_ids
    return None
