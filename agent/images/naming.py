"""Names of images move one at a time, and which image had a name before is remembered."""

from __future__ import annotations

import asyncio

from agent.containers.runtime import ContainerRuntime
from agent.images.records import ImageRecords


class Naming:
    """Gives names to the images of one node."""

    def __init__(self, runtime: ContainerRuntime, records: ImageRecords) -> None:
        self._runtime, self._records = runtime, records
        self._one_at_a_time = asyncio.Lock()

    async def move(self, tag: str, image_id: str) -> str | None:
        """Give an image a tag; the image that had it until now, if another one had.

        Who has the tag is asked now: it may have moved since a load was planned.

        Raises:
            ProblemError: `image.*`, `runtime.*`, `store.*`; then the tag is where it was.
        """
        async with self._one_at_a_time:
            images = await self._runtime.images()
            before = next((image.id for image in images if tag in image.tags), None)
            if before == image_id:
                return None
            if before is not None:
                # First: what was taken away unnoticed would not be protected.
                await asyncio.to_thread(self._records.moved, tag, before)
            await self._runtime.tag_image(image_id, tag)
            return before
