"""Loading images into the runtime: under a staging tag, read back, and only then named."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agent.archives.writing import OpenLayer, archive_size, write_docker_archive
from agent.containers.runtime import ContainerRuntime
from agent.images.planning import Planned, Planner
from agent.images.records import ImageRecords
from agent.jobs.work import Work
from agent.protocol.images import STAGING_REPOSITORY, ImageContent, NodeImage, PlannedImage
from agent.protocol.problems import ProblemError
from agent.rules.loading import platform_of

# Docker 20.10 loaded 180 MB/s here; an eMMC of a small board does some 20 MB/s.
LOAD_BYTES_PER_SECOND = 2_000_000
LOAD_SECONDS = 300.0
VERIFY_SECONDS = 300.0
# Images without a name of their own are kept under this one.
NAMELESS = "roost.local/image"

log = logging.getLogger(__name__)

Open = Callable[[str], OpenLayer]  # a layer by its diff_id


class Loader:
    """Puts images into one node's runtime, one archive at a time."""

    def __init__(
        self, *, runtime: ContainerRuntime, planner: Planner, records: ImageRecords
    ) -> None:
        self._runtime, self._planner, self._records = runtime, planner, records
        self._one_at_a_time = asyncio.Lock()

    async def load(
        self,
        work: Work[Any],
        contents: Sequence[ImageContent],
        planned: Planned,
        open_layer: Open,
    ) -> dict[str, str]:
        """Have the images, under their tags; the image ids by tag.

        Whatever happens, a tag names the image it named before or the new one, verified.

        Raises:
            ProblemError: `image.load_failed`, `image.broken`, `space.full`, `runtime.*`, and
                what `open_layer` raises.
        """
        loaded: dict[str, str] = {}
        for number, (content, image) in enumerate(zip(contents, planned.load.images, strict=True)):
            name = image.tags[0] if image.tags else image.config_digest
            if image.state == "load":
                staging = f"{STAGING_REPOSITORY}:{work.job.id}-{number}"
                async with self._one_at_a_time:
                    await self._stage(
                        work, name, content, planned.load.left_out[number], staging, open_layer
                    )
                    image_id = await self._verify(work, name, content, image, staging)
                    await self._name(work, image, image_id)
                    await self._drop_staging(staging)
            else:
                work.log(f"{name} is there already")
                image_id = (await self._find(image)).id
                await self._name(work, image, image_id)
            loaded |= dict.fromkeys(image.tags or [image_id], image_id)
        return loaded

    async def sweep(self, *, but: Sequence[str] = ()) -> None:
        """Remove staged images that an agent before this one left behind.

        `but` are ids of jobs that are under way. Raises ProblemError `runtime.*`.
        """
        for image in await self._runtime.images():
            for tag in image.tags:
                repository, _, rest = tag.rpartition(":")
                if repository == STAGING_REPOSITORY and rest.rpartition("-")[0] not in but:
                    await self._drop_staging(tag)

    async def _stage(
        self,
        work: Work[Any],
        name: str,
        content: ImageContent,
        left_out: set[int],
        staging: str,
        open_layer: Open,
    ) -> None:
        size = archive_size(content, left_out=left_out, tag=staging)
        await work.stage(
            "loading",
            LOAD_SECONDS + size / LOAD_BYTES_PER_SECOND,
            leaves=f"the runtime may have {name} under the tag {staging}",
        )
        work.log(f"loading {name}: {size} bytes, {len(left_out)} layers are there already")

        def told(pieces: Iterator[bytes]) -> Iterator[bytes]:
            done = 0
            for piece in pieces:
                if work.cancelled:
                    return
                yield piece
                done += len(piece)
                work.progress(done, size)

        pieces = write_docker_archive(content, open_layer, left_out=left_out, tag=staging)
        try:
            await self._runtime.load_image(
                told(pieces), size_bytes=size, platform=platform_of(content)
            )
        except BaseException:
            await asyncio.shield(self._drop_staging(staging))
            raise

    async def _verify(
        self,
        work: Work[Any],
        name: str,
        content: ImageContent,
        planned: PlannedImage,
        staging: str,
    ) -> str:
        """The id of the image that was just loaded, once it is what it should be."""
        await work.stage(
            "verifying",
            VERIFY_SECONDS,
            leaves=f"the runtime has {name} under the tag {staging}, its own tags are untouched",
        )
        try:
            image = await self._runtime.check_image(
                staging, diff_ids=[layer.diff_id for layer in content.layers]
            )
            _check_config(name, image, planned)
        except BaseException:
            await asyncio.shield(self._drop_staging(staging))
            raise
        await asyncio.to_thread(self._records.loaded, image.id, planned.config_digest)
        return image.id

    async def _name(self, work: Work[Any], image: PlannedImage, image_id: str) -> None:
        tags = image.tags or [f"{NAMELESS}:{image.config_digest.removeprefix('sha256:')[:12]}"]
        for tag in tags:
            before = image.replaces.get(tag)
            if before is not None and before != image_id:
                await asyncio.to_thread(self._records.moved, tag, before)
            await self._runtime.tag_image(image_id, tag)
            work.log(f"{tag} is now {image_id}" + (f", it was {before}" if before else ""))

    async def _find(self, image: PlannedImage) -> NodeImage:
        for found in await self._planner.images():
            if found.config_digest == image.config_digest:
                return found
        raise ProblemError(
            "image.not_found",
            f"the image {image.config_digest} is gone again",
            params={"image": image.config_digest},
            hint="Somebody removed it meanwhile; push it again.",
        )

    async def _drop_staging(self, staging: str) -> None:
        """Take the staging tag away; an image that has no other name goes with it."""
        try:
            await self._runtime.remove_image(staging)
        except ProblemError as problem:
            if problem.code != "image.not_found":
                log.warning("%s stays for now: %s", staging, problem.detail)


def _check_config(name: str, image: NodeImage, planned: PlannedImage) -> None:
    """Where the store says which config an image has, it must be the one that was sent."""
    if image.config_digest not in (None, planned.config_digest):
        raise ProblemError(
            "image.broken",
            f"{name} was loaded with the config {image.config_digest}, not {planned.config_digest}",
            params={"image": name},
            hint="Push it again; if it happens again, the runtime changes images.",
        )
