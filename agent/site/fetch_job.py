"""The job `image.fetch`: layers from another node of the site, into the blob store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from agent.images.blobs import Blobs
from agent.images.upload_record import UploadRecord, new_record
from agent.images.uploads import Uploads, UploadState
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.images import Layer
from agent.protocol.problems import ProblemError
from agent.protocol.site import FetchRequest
from agent.site.seed_client import Answer, SeedClient, StoredLayer

# Moved on with each megabyte or so that comes; the slowest LAN brings one in that time.
SILENT_SECONDS = 120.0
TRIES = 3  # in a row that bring nothing
PAUSE_SECONDS = 1.0
# Somebody else sends the same layer here: it may become whole without us.
LOCKED_SECONDS = 2.0
_AGAIN = frozenset({"site.cut", "upload.locked", "upload.offset", "upload.taken_over"})


class FetchKind(JobKind[FetchRequest]):
    """Resumable: what came lies in the same uploads that a console would send to.

    A direct upload by the encoder that made the seed's bytes goes on where a fetch ended, and
    the other way round.
    """

    name = "image.fetch"
    request_type = FetchRequest
    resumable = True
    joins = True
    at_once = 4

    def __init__(self, *, blobs: Blobs, uploads: Uploads) -> None:
        self._blobs, self._uploads = blobs, uploads

    def subject(self, request: FetchRequest) -> str:
        count = len(request.layers)
        return f"{count} layer{'' if count == 1 else 's'} from {request.grant.node}"

    async def run(self, work: Work[FetchRequest]) -> dict[str, str]:
        request = work.request
        seed = SeedClient(request.grant)
        fetched = 0
        for layer in request.layers:
            await work.stage("fetching", SILENT_SECONDS)
            fetched += await self._layer(work, seed, layer)
        return {"from": request.grant.node, "received_bytes": str(fetched)}

    async def _layer(self, work: Work[FetchRequest], seed: SeedClient, layer: Layer) -> int:
        """Have one layer; how many bytes came for it."""
        came = fruitless = 0
        while not self._blobs.has(layer.diff_id):
            before = came
            try:
                came += await self._go_on(work, seed, layer)
            except _EndedEarlyError as ended:
                came += ended.received_bytes
                problem = ended.problem
                if problem.code == "blob.exists":
                    break
                fruitless = 0 if came > before else fruitless + 1
                locked = problem.code == "upload.locked"
                if problem.code not in _AGAIN or (fruitless >= TRIES and not locked):
                    raise problem from None
                work.log(f"{layer.diff_id}: {problem.detail}; trying again")
                await asyncio.sleep(LOCKED_SECONDS if locked else PAUSE_SECONDS)
        self._progress(work)
        return came

    async def _go_on(self, work: Work[FetchRequest], seed: SeedClient, layer: Layer) -> int:
        """Fetch from where the upload is. Raises _EndedEarlyError."""
        upload = self._uploads.find(layer.diff_id)
        start = 0 if upload is None else upload.offset
        answer: Answer | None = None
        try:
            while answer is None or answer.layer.start != start:
                if answer is not None:
                    answer.close()
                answer = await seed.get(layer.diff_id, start)
                state = await self._uploads.create(_record(layer, answer.layer))
                start = state.offset
            await self._receive(work, answer, state)
        except ProblemError as problem:
            received = 0 if answer is None else answer.received_bytes
            raise _EndedEarlyError(problem, received) from None
        finally:
            if answer is not None:
                answer.close()
        return answer.received_bytes

    async def _receive(self, work: Work[FetchRequest], answer: Answer, state: UploadState) -> None:
        async def heard() -> AsyncIterator[bytes]:
            moved = 0
            async for piece in answer.pieces():
                if answer.received_bytes - moved >= 1 << 20:
                    moved = answer.received_bytes
                    await work.stage("fetching", SILENT_SECONDS)
                    self._progress(work)
                yield piece

        stored = answer.layer.stored_bytes
        pieces = _none() if state.offset == stored else heard()
        # A console that began it may not have said the length yet.
        await self._uploads.receive(state.record.id, state.offset, pieces, length=stored)

    def _progress(self, work: Work[FetchRequest]) -> None:
        layers = work.request.layers
        work.progress(sum(map(self._there, layers)), sum(each.size_bytes for each in layers))

    def _there(self, layer: Layer) -> int:
        if self._blobs.has(layer.diff_id):
            return layer.size_bytes
        upload = self._uploads.find(layer.diff_id)
        return 0 if upload is None else min(upload.offset, layer.size_bytes)


class _EndedEarlyError(Exception):
    def __init__(self, problem: ProblemError, received_bytes: int) -> None:
        super().__init__(problem.detail)
        self.problem, self.received_bytes = problem, received_bytes


def _record(layer: Layer, stored: StoredLayer) -> UploadRecord:
    """As a console would announce it. Raises ProblemError `upload.*`, `blob.size`."""
    if stored.size_bytes != layer.size_bytes:
        raise ProblemError(
            "blob.size",
            f"layer {layer.diff_id} has {stored.size_bytes} bytes there, not {layer.size_bytes}",
            params={"diff_id": layer.diff_id, "said_bytes": layer.size_bytes},
            hint="Push again; if it happens again, check the archive's sha256.",
        )
    said = {
        "diff_id": layer.diff_id,
        "size": str(layer.size_bytes),
        "encoder": stored.encoder,
    }
    return new_record(said, length=stored.stored_bytes, header="")


async def _none() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for piece in nothing:
        yield piece
