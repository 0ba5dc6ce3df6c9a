"""Making room: what a plan said would go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent.containers.runtime import ContainerRuntime
from agent.images.blobs import Blobs
from agent.protocol.images import Freeable


async def make_room(frees: Sequence[Freeable], *, runtime: ContainerRuntime, blobs: Blobs) -> None:
    """Remove these blobs and images.

    Raises:
        ProblemError: `image.in_use` where a container came in between, `runtime.*`.
    """
    for item in frees:
        if item.kind == "blob":
            await asyncio.to_thread(blobs.remove, item.name)
        else:
            await runtime.remove_image(item.name)
