"""Whether an image in the runtime is whole: its layers by name, and a container made from it.

The containerd store lists an image, with its tag and all its layers' names, when their content is
missing or wrong (seen on Docker 28.5). Creating a container finds out there: it unpacks what is not
unpacked yet. It is never started.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.containers.connection import Connection
from agent.containers.images_problems import broken
from agent.containers.images_temporary import TemporaryContainers
from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError


async def check(
    connection: Connection,
    image: NodeImage,
    diff_ids: Sequence[str] | None,
    temporary: TemporaryContainers,
) -> None:
    """Raise if the image is not whole, or not of these layers.

    Raises:
        ProblemError: `image.broken`, `space.full`, `runtime.*`.
    """
    if not image.diff_ids and not image.os:
        # What the containerd store says when a blob is missing, also of a layer that another
        # image has unpacked: then a container can be made, but the image cannot be saved.
        raise broken(image, "part of it is missing: its layers are not told")
    if diff_ids is not None and list(diff_ids) != image.diff_ids:
        raise broken(image, _difference(list(diff_ids), image.diff_ids))
    await temporary.remove_left(connection)
    try:
        async with temporary.made_from(connection, image.id):
            pass
    except ProblemError as problem:
        if problem.params.get("status") is None:
            raise
        raise broken(image, f"no container can be made from it: {problem.detail}") from problem


def _difference(wanted: list[str], found: list[str]) -> str:
    if len(wanted) != len(found):
        return f"it has {len(found)} layers instead of {len(wanted)}"
    number = next(
        at for at, (one, other) in enumerate(zip(wanted, found, strict=True)) if one != other
    )
    return f"its layer {number + 1} is {found[number]} instead of {wanted[number]}"
