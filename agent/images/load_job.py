"""The job `image.load`: waits for the layers, then loads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from anyio import move_on_after

from agent.images.blobs import Blobs
from agent.images.freeing import make_room
from agent.images.loading import Loader
from agent.images.planning import Planned, Planner
from agent.images.space import Space
from agent.images.uploads import Uploads
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.images import LoadRequest, WantedLayer
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.rules.loading import config_digest

PLAN_SECONDS = 120.0
# A link that is gone for a night must not lose what came before; uploads live for a week.
SILENT_SECONDS = 24 * 3600.0
LOOK_SECONDS = 1.0
# A base image may be removed between plan and load: then its layers are asked for, once.
ATTEMPTS = 2


class LoadKind(JobKind[LoadRequest]):
    """Resumable: what has come, and what is loaded, is found again."""

    name = "image.load"
    request_type = LoadRequest
    resumable = True
    joins = True
    at_once = 8  # most wait for bytes; the runtime gets one archive at a time

    def __init__(
        self, *, planner: Planner, loader: Loader, blobs: Blobs, uploads: Uploads, space: Space
    ) -> None:
        self._planner, self._loader = planner, loader
        self._blobs, self._uploads, self._space = blobs, uploads, space

    def subject(self, request: LoadRequest) -> str:
        return ", ".join(tag for image in request.images for tag in image.tags) or request.source

    def locks(self, request: LoadRequest) -> Sequence[str]:
        return [f"image:{config_digest(image)}" for image in request.images]

    def ended(self, job: Job) -> None:
        """Give back its space, also where it never ran."""
        self._space.release(job.id)

    async def run(self, work: Work[LoadRequest]) -> dict[str, str]:
        for _ in range(ATTEMPTS - 1):
            planned = await self._ready(work)
            try:
                return await self._load(work, planned)
            except ProblemError as problem:
                if not await self._changed(work, planned, problem):
                    raise
                work.log(f"{problem.detail}; layers that were there are gone: trying again")
        return await self._load(work, await self._ready(work))

    async def _ready(self, work: Work[LoadRequest]) -> Planned:
        planned = await self._plan(work)
        await self._receive(work, planned)
        return planned

    async def _load(self, work: Work[LoadRequest], planned: Planned) -> dict[str, str]:
        return await self._loader.load(work, work.request.images, planned, self._blobs.open)

    async def _plan(self, work: Work[LoadRequest]) -> Planned:
        await work.stage("planning", PLAN_SECONDS)
        planned = await self._planner.plan(work.request.images, holder=work.job.id)
        planned.check()
        await asyncio.to_thread(self._space.reserve, planned.claims, holder=work.job.id)
        await make_room(planned.answer.frees, runtime=self._planner.runtime, blobs=self._blobs)
        for freed in planned.answer.frees:
            work.log(f"made room: removed {freed.kind} {freed.name}, {freed.size_bytes} bytes")
        return planned

    async def _receive(self, work: Work[LoadRequest], planned: Planned) -> None:
        """Wait until every layer is here."""
        wanted = planned.answer.wanted
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
                before = received
            with move_on_after(LOOK_SECONDS):
                await self._uploads.next_change()
            await asyncio.sleep(LOOK_SECONDS / 10)  # changes come in bursts
        for layer in planned.load.needed:
            await asyncio.to_thread(self._blobs.touch, layer.diff_id)

    def _received(self, layer: WantedLayer) -> int:
        if self._blobs.has(layer.diff_id):
            return layer.size_bytes
        upload = self._uploads.find(layer.diff_id)
        return 0 if upload is None else min(upload.offset, layer.size_bytes)

    async def _changed(
        self, work: Work[LoadRequest], planned: Planned, problem: ProblemError
    ) -> bool:
        """Whether the load failed because something is missing that was there."""
        if problem.code not in {"image.load_failed", "blob.not_found"}:
            return False
        again = await self._planner.plan(work.request.images, holder=work.job.id)
        had = {layer.diff_id for layer in planned.load.needed}
        return bool(again.answer.wanted) or any(
            layer.diff_id not in had for layer in again.load.needed
        )
