"""The job `image.load`: waits for the layers, then loads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from anyio import move_on_after

from agent.images.blobs import Blobs
from agent.images.keeping import Keeper
from agent.images.loading import Loader
from agent.images.planning import Planned
from agent.images.preparing import Preparer
from agent.images.space import Space
from agent.images.uploads import Uploads
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.images import LoadRequest, WantedLayer
from agent.protocol.jobs import Job
from agent.rules.loading import config_digest

# A link that is gone for a night must not lose what came before; uploads live for a week.
SILENT_SECONDS = 24 * 3600.0
LOOK_SECONDS = 1.0


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
        keeper: Keeper,
        blobs: Blobs,
        uploads: Uploads,
        space: Space,
    ) -> None:
        self._preparer, self._loader, self._keeper = preparer, loader, keeper
        self._blobs, self._uploads, self._space = blobs, uploads, space

    def subject(self, request: LoadRequest) -> str:
        return ", ".join(tag for image in request.images for tag in image.tags) or request.source

    def locks(self, request: LoadRequest) -> Sequence[str]:
        return [f"image:{config_digest(image)}" for image in request.images]

    def ended(self, job: Job) -> None:
        """Give back its space and its layers, also where it never ran."""
        self._space.release(job.id)
        self._keeper.release(job.id)

    async def run(self, work: Work[LoadRequest]) -> dict[str, str]:
        contents = work.request.images
        self._keeper.pin(work.job.id, contents)
        return await self._loader.have(work, contents, lambda: self._ready(work), self._keeper.open)

    async def _ready(self, work: Work[LoadRequest]) -> Planned:
        planned = await self._preparer.prepare(
            work, work.request.images, signed=work.request.signed
        )
        await self._receive(work, planned.answer.wanted)
        for layer in planned.load.needed:
            await asyncio.to_thread(self._blobs.touch, layer.diff_id)
        return planned

    async def _receive(self, work: Work[LoadRequest], wanted: Sequence[WantedLayer]) -> None:
        """Wait until every layer is here."""
        if not wanted:
            return
        total = sum(layer.size_bytes for layer in wanted)
        work.log(f"waiting for {len(wanted)} layers, {total} bytes unpacked")
        before = -1
        while any(not self._blobs.has(layer.diff_id) for layer in wanted):
            received = sum(map(self._received, wanted))
            if received != before:
                await work.stage("receiving", SILENT_SECONDS)
                work.progress(received, total)
                self._space.still_needs(work.job.id, "blobs", total - received)
                before = received
            with move_on_after(LOOK_SECONDS):
                await self._uploads.next_change()
            await asyncio.sleep(LOOK_SECONDS / 10)  # changes come in bursts
        self._space.still_needs(work.job.id, "blobs", 0)

    def _received(self, layer: WantedLayer) -> int:
        if self._blobs.has(layer.diff_id):
            return layer.size_bytes
        upload = self._uploads.find(layer.diff_id)
        return 0 if upload is None else min(upload.offset, layer.size_bytes)
