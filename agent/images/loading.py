"""Loading images into the runtime: under a staging tag, read back, and only then named."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, NamedTuple

from anyio import move_on_after

from agent.archives.writing import OpenLayer, archive_size, write_docker_archive
from agent.containers.runtime import ContainerRuntime
from agent.images.keeping import Keeper
from agent.images.naming import Naming
from agent.images.planning import Planned, Planner
from agent.images.records import ImageRecords
from agent.jobs.work import Work
from agent.protocol.images import STAGING_REPOSITORY, ImageContent, NodeImage, PlannedImage
from agent.protocol.problems import ProblemError
from agent.rules.loading import image_there, is_staged, platform_of

# Docker 20.10 loaded 180 MB/s here; an eMMC of a small board does some 20 MB/s.
LOAD_BYTES_PER_SECOND = 2_000_000
LOAD_SECONDS = 300.0
# Unpacking some 10 GB where the store does that only for a container.
VERIFY_SECONDS = 1800.0
TAG_SECONDS = 120.0
# Others load: as many as may wait, each within its own deadline.
TURN_SECONDS = 24 * 3600.0
# After a power cut the agent may be up long before the runtime is; one that died may come back.
RUNTIME_SECONDS = 300.0
RUNTIME_AGAIN_SECONDS = 1.0
AWAY = "runtime.unreachable"
# Less than a job has once it is cancelled; what stays is swept away later.
DROP_SECONDS = 20.0
RUNTIME_STAGE = "no runtime"
# Images without a name of their own are kept under this one.
NAMELESS = "roost.local/image"
# After these it may be that something is gone that was there when the load was planned.
_LOOK_AGAIN = {"image.load_failed", "image.not_found", "blob.not_found", "blob.storage"}

log = logging.getLogger(__name__)

Open = Callable[[str], OpenLayer]  # a layer by its diff_id


class Source(NamedTuple):
    """Where the layers of a load come from; while they are `arriving`, who sends tells how far."""

    open: Open
    arriving: Callable[[], bool] = lambda: False


Prepare = Callable[[], Awaitable[Planned]]  # with all the layers that it needs


class Loader:
    """Puts images into one node's runtime, one archive at a time."""

    def __init__(
        self,
        *,
        runtime: ContainerRuntime,
        planner: Planner,
        keeper: Keeper,
        naming: Naming,
        records: ImageRecords,
    ) -> None:
        self._runtime, self._planner, self._keeper = runtime, planner, keeper
        self._naming, self._records = naming, records
        self._one_at_a_time = asyncio.Lock()

    async def have(
        self,
        work: Work[Any],
        contents: Sequence[ImageContent],
        prepare: Prepare,
        source: Source,
    ) -> dict[str, str]:
        """Have the images, under their tags; the image ids by tag.

        Whatever happens, a tag names the image it named before or the new one, verified. Where
        something vanished after it was prepared, that is done once more; so it is where the
        runtime went away and came back.

        Raises:
            ProblemError: `image.*`, `space.full`, `blob.*`, `runtime.*`, `store.*`, and what
                `prepare` and `source` raise.
        """
        await self._begin(work)
        mended = came_back = False
        while True:
            try:
                try:
                    return await self._in_turn(work, contents, prepare, source)
                except _StaleError as stale:
                    if mended or not await self._may_mend(work, contents, stale):
                        raise stale.problem from None
                    mended = True
                    work.log(f"{stale.problem.detail}; what was there is gone: once more")
            except ProblemError as problem:
                if came_back or problem.code != AWAY:
                    raise
                await self._come_back(work, problem)
                came_back = True

    async def _begin(self, work: Work[Any]) -> None:
        """Remove what an agent before this one staged for this job, once the runtime answers."""
        began = time.monotonic()
        while True:
            try:
                await self.sweep(lambda tag: staged_by(tag) == work.job.id)
            except ProblemError as problem:
                late = time.monotonic() - began > RUNTIME_SECONDS
                if problem.code != AWAY or late:
                    raise
                if work.job.stage != RUNTIME_STAGE:
                    work.log(f"{problem.detail}: waiting for it")
                    idle = f"{problem.detail}; it is waited for, {RUNTIME_SECONDS:g} s at most"
                    await work.stage(RUNTIME_STAGE, 2 * RUNTIME_SECONDS, idle=idle)
                await asyncio.sleep(RUNTIME_AGAIN_SECONDS)
            else:
                return

    async def _come_back(self, work: Work[Any], problem: ProblemError) -> None:
        """Wait until the runtime that went away amid the work answers. Raises as `images`."""
        work.log(f"{problem.detail} amid the work: once it is back, that is done once more")
        try:
            await self._begin(work)
        except ProblemError as still:
            if still.code != AWAY:
                raise
            raise ProblemError(
                AWAY,
                f"the runtime went away amid the work and was not back within"
                f" {RUNTIME_SECONDS:g} s: {still.detail}",
                params=still.params,
                hint="Look why it is not up (on the node: systemctl status docker podman). The"
                f" layers are kept, so nothing is sent again: roost job retry {work.job.id}",
            ) from still
        work.log("the runtime is back: once more")

    async def sweep(self, unwanted: Callable[[str], bool]) -> None:
        """Remove staged images whose tag is `unwanted`, asked after they were listed.

        Raises:
            ProblemError: `runtime.*`.
        """
        images = await self._runtime.images()
        for image in images:
            for tag in image.tags if is_staged(image) else ():
                if staged_by(tag) and unwanted(tag):
                    await self._drop(tag)

    async def forget_gone(self) -> None:
        """Drop what is remembered of images that are gone. Raises `runtime.*`, `store.*`."""
        known = await asyncio.to_thread(self._records.known)
        there = {image.id for image in await self._runtime.images()}
        await asyncio.to_thread(self._records.forget, known - there)

    async def _in_turn(
        self,
        work: Work[Any],
        contents: Sequence[ImageContent],
        prepare: Prepare,
        source: Source,
    ) -> dict[str, str]:
        while True:
            planned = await prepare()
            waits = self._one_at_a_time.locked()
            if waits:
                await work.stage("waiting", TURN_SECONDS)
            async with self._one_at_a_time:
                # Who was before may have removed what this plan counts on.
                if waits and await self._differs(work, contents, planned):
                    continue
                try:
                    return await self._load(work, contents, planned, source)
                except ProblemError as problem:
                    if problem.code in _LOOK_AGAIN:
                        raise _StaleError(planned, problem) from problem
                    raise

    async def _may_mend(
        self, work: Work[Any], contents: Sequence[ImageContent], stale: _StaleError
    ) -> bool:
        """Whether another round would do something else; layers that are damaged are removed."""
        needed = [layer.diff_id for layer in stale.planned.load.needed]
        damaged = await self._keeper.drop_damaged(needed)
        for diff_id in damaged:
            work.log(f"layer {diff_id} was damaged on this node's disk, and is removed")
        return (
            bool(damaged)
            or stale.problem.code == "blob.not_found"
            or await self._differs(work, contents, stale.planned)
        )

    async def _differs(
        self, work: Work[Any], contents: Sequence[ImageContent], planned: Planned
    ) -> bool:
        """Whether another load is to be done than was planned."""
        needed = [layer.diff_id for layer in planned.load.needed]
        again = await self._planner.plan(contents, on_node=needed, holder=work.job.id)
        states = [image.state for image in planned.load.images]
        return [layer.diff_id for layer in again.load.needed] != needed or states != [
            image.state for image in again.load.images
        ]

    async def _load(
        self,
        work: Work[Any],
        contents: Sequence[ImageContent],
        planned: Planned,
        source: Source,
    ) -> dict[str, str]:
        loaded: dict[str, str] = {}
        for number, (content, image) in enumerate(zip(contents, planned.load.images, strict=True)):
            name = image.tags[0] if image.tags else image.config_digest
            if image.state == "load":
                staging = f"{STAGING_REPOSITORY}:{work.job.id}-{number}"
                left_out = planned.load.left_out[number]
                try:
                    await self._stage(work, name, content, left_out, staging, source)
                    image_id = await self._verify(work, name, content, image, staging)
                    nameless = f"{NAMELESS}:{image.config_digest.removeprefix('sha256:')[:12]}"
                    await self._name(work, image.tags or [nameless], image_id)
                finally:
                    await self._drop(staging)
            else:
                work.log(f"{name} is there already")
                there = await self._find(content, image)
                image_id = (await self._check(work, content, there.id)).id
                await self._name(work, image.tags, image_id)
            loaded |= dict.fromkeys(image.tags or [image_id], image_id)
        return loaded

    async def _stage(
        self,
        work: Work[Any],
        name: str,
        content: ImageContent,
        left_out: set[int],
        staging: str,
        source: Source,
    ) -> None:
        size = archive_size(content, left_out=left_out, tag=staging)
        await work.stage(
            "loading",
            LOAD_SECONDS + size / LOAD_BYTES_PER_SECOND,
            leaves=f"the runtime may have {name} under the tag {staging}",
        )
        work.log(f"loading {name}: {size} bytes, {len(left_out)} layers are there already")

        def told() -> Generator[bytes, None, None]:
            done = 0
            pieces = write_docker_archive(content, source.open, left_out=left_out, tag=staging)
            with contextlib.closing(pieces):
                for piece in pieces:
                    if work.cancelled:
                        return
                    yield piece
                    done += len(piece)
                    if not source.arriving():
                        work.progress(done, size)

        await self._runtime.load_image(told(), size_bytes=size, platform=platform_of(content))

    async def _verify(
        self,
        work: Work[Any],
        name: str,
        content: ImageContent,
        planned: PlannedImage,
        staging: str,
    ) -> str:
        """The id of the image that was just loaded, once it is what it should be."""
        leaves = f"the runtime has {name} under the tag {staging}, its own tags are untouched"
        image = await self._check(work, content, staging, leaves=leaves)
        if image.config_digest not in (None, planned.config_digest):
            raise ProblemError(
                "image.broken",
                f"{name} was loaded with the config {image.config_digest},"
                f" not {planned.config_digest}",
                params={"image": name},
                hint="Push it again; if it happens again, the runtime changes images.",
            )
        await asyncio.to_thread(self._records.loaded, image.id, planned.config_digest)
        return image.id

    async def _check(
        self, work: Work[Any], content: ImageContent, reference: str, *, leaves: str | None = None
    ) -> NodeImage:
        await work.stage("verifying", VERIFY_SECONDS, leaves=leaves)
        return await self._runtime.check_image(
            reference, diff_ids=[layer.diff_id for layer in content.layers]
        )

    async def _name(self, work: Work[Any], tags: Sequence[str], image_id: str) -> None:
        await work.stage("tagging", TAG_SECONDS, leaves="some of its tags may not have moved yet")
        for tag in tags:
            before = await self._naming.move(tag, image_id)
            work.log(f"{tag} is now {image_id}" + (f", it was {before}" if before else ""))

    async def _find(self, content: ImageContent, image: PlannedImage) -> NodeImage:
        found = image_there(content, image.tags, await self._planner.images())
        if found is None:
            raise ProblemError(
                "image.not_found",
                f"the image {image.config_digest} is gone again",
                params={"image": image.config_digest},
                hint="Somebody removed it meanwhile; push it again.",
            )
        return found

    async def _drop(self, staging: str) -> None:
        """Take the staging tag away; an image that has no other name goes with it."""
        with move_on_after(DROP_SECONDS) as limit:
            try:
                await self._runtime.remove_image(staging)
            except ProblemError as problem:
                if problem.code != "image.not_found":
                    log.warning("%s stays for now: %s", staging, problem.detail)
        if limit.cancelled_caught:
            log.warning("%s stays for now: the runtime takes too long", staging)


class _StaleError(Exception):
    """A load failed in a way that a new look may mend."""

    def __init__(self, planned: Planned, problem: ProblemError) -> None:
        super().__init__(problem.detail)
        self.planned, self.problem = planned, problem


def staged_by(tag: str) -> str:
    """The job that staged an image under this tag; "" where the tag is of another kind."""
    repository, _, rest = tag.rpartition(":")
    return rest.rpartition("-")[0] if repository == STAGING_REPOSITORY else ""
