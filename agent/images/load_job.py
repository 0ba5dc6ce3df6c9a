"""The job `image.load`: waits for the layers, then loads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from agent.images.arrival import QUIET_SECONDS, Arrival
from agent.images.blobs import Blobs
from agent.images.keeping import Keeper
from agent.images.loading import Loader, Source
from agent.images.placing import Placer
from agent.images.planning import Planned
from agent.images.preparing import Preparer
from agent.images.space import Space
from agent.images.uploads import Uploads
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.images import ImageContent, LoadRequest
from agent.protocol.jobs import NO_SENDER, Job
from agent.rules.loading import config_digest

# A link that is gone for a night must not lose what came before; uploads live for a week.
SILENT_SECONDS = 24 * 3600.0
NOBODY_SENDS = (
    "nobody sends its layers now: the same push again goes on with it; after `roost job cancel`"
    " others may have its space"
)


class LoadKind(JobKind[LoadRequest]):
    """Resumable: what has come, and what is loaded, is found again."""

    name = "image.load"
    request_type = LoadRequest
    resumable = True
    joins = True
    # Most wait for bytes, some for consoles that are gone; the runtime gets one archive at a time.
    at_once = 32

    def __init__(
        self,
        *,
        preparer: Preparer,
        loader: Loader,
        placer: Placer,
        keeper: Keeper,
        blobs: Blobs,
        uploads: Uploads,
        space: Space,
    ) -> None:
        self._preparer, self._loader, self._keeper = preparer, loader, keeper
        self._placer = placer
        self._blobs, self._uploads, self._space = blobs, uploads, space

    def subject(self, request: LoadRequest) -> str:
        names = [tag for image in request.images for tag in image.tags]
        return ", ".join([*names, *(file.title for file in request.files)]) or request.source

    def identity(self, request: LoadRequest) -> LoadRequest:
        return msgspec.structs.replace(request, make_room=False)

    def joined(self, request: LoadRequest, joining: LoadRequest) -> LoadRequest:
        """Whoever gave the word to make room, it stands."""
        make_room = request.make_room or joining.make_room
        return msgspec.structs.replace(request, make_room=make_room)

    def locks(self, request: LoadRequest) -> Sequence[str]:
        return [
            *(f"image:{config_digest(image)}" for image in request.images),
            *(f"file:{file.place}" for file in request.files),
        ]

    def ended(self, job: Job) -> None:
        """Give back its space and its layers, also where it never ran."""
        self._space.release(job.id)
        self._keeper.release(job.id)

    async def run(self, work: Work[LoadRequest]) -> dict[str, str]:
        contents, files = work.request.images, work.request.files
        self._keeper.pin(work.job.id, contents, files)

        def told(received: int, total: int) -> None:
            self._space.still_needs(work.job.id, "blobs", total - received)
            work.progress(received, total)

        async def stage(name: str) -> None:
            if name == NO_SENDER:
                work.log(f"nothing has come for {QUIET_SECONDS:g} s: nobody sends")
            idle = NOBODY_SENDS if name == NO_SENDER else None
            await work.stage(name, SILENT_SECONDS, idle=idle)

        arrival = Arrival(
            self._blobs,
            self._uploads,
            self._keeper.open,
            told=told,
            stage=stage,
            ended=lambda: work.cancelled,
            quiet_seconds=QUIET_SECONDS,
        )
        result: dict[str, str] = {}
        try:
            if contents:
                result = await self._loader.have(
                    work,
                    contents,
                    lambda: self._ready(work, arrival, contents),
                    Source(arrival.open, lambda: arrival.arriving),
                )
            if files:
                planned = await self._ready(work, arrival, [])
                placed = planned.answer.files
                result |= await self._placer.place(work, placed, self._keeper.open)
                await self._keeper.placed(files)
        finally:
            await arrival.stop()
        return result

    async def _ready(
        self, work: Work[LoadRequest], arrival: Arrival, contents: Sequence[ImageContent]
    ) -> Planned:
        """All that the files need, too; without images it has come whole."""
        planned = await self._preparer.prepare(
            work, contents, work.request.files, signed=work.request.signed
        )
        if wanted := planned.answer.wanted:
            total = sum(layer.size_bytes for layer in wanted)
            work.log(f"waiting for {len(wanted)} layers and files, {total} bytes unpacked")
            await arrival.soon(wanted, early=bool(contents))
        for layer in planned.load.needed:
            await asyncio.to_thread(self._blobs.touch, layer.diff_id)
        return planned
