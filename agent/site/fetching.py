"""Having the bytes of one digest from a seed, in the blob store."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from agent.images.blobs import Blobs
from agent.images.upload_record import UploadRecord, new_record
from agent.images.uploads import Uploads, UploadState
from agent.protocol.images import Layer
from agent.protocol.problems import ProblemError
from agent.protocol.site import SiteGrant
from agent.site.seed_client import Answer, SeedClient, StoredLayer

TRIES = 3  # in a row that bring nothing
PAUSE_SECONDS = 1.0
# Somebody else sends the same layer here: it may become whole without us.
LOCKED_SECONDS = 2.0
# How many bytes come until somebody hears of it.
MOVED_BYTES = 1 << 20
_AGAIN = frozenset({"site.cut", "upload.locked", "upload.offset", "upload.taken_over"})


class Fetcher:
    """Fetches for the jobs of one node: what came lies in the uploads that a console sends to.

    A direct upload by the encoder that made the seed's bytes goes on where a fetch ended, and
    the other way round.
    """

    def __init__(self, *, blobs: Blobs, uploads: Uploads) -> None:
        self._blobs, self._uploads = blobs, uploads

    async def fetch(
        self,
        grant: SiteGrant,
        layer: Layer,
        *,
        moved: Callable[[], Awaitable[None]],
        log: Callable[[str], None],
    ) -> int:
        """Have it, whole and of its digest; how many bytes came for it.

        `moved` is awaited with each megabyte or so that comes.

        Raises:
            ProblemError: `site.*`, `upload.*`, `blob.*`, `space.full`.
        """
        seed = SeedClient(grant)
        came = fruitless = 0
        while not self._blobs.has(layer.diff_id):
            before = came
            try:
                came += await self._go_on(seed, layer, moved)
            except _EndedEarlyError as ended:
                came += ended.received_bytes
                problem = ended.problem
                if problem.code == "blob.exists":
                    break
                fruitless = 0 if came > before else fruitless + 1
                locked = problem.code == "upload.locked"
                if problem.code not in _AGAIN or (fruitless >= TRIES and not locked):
                    raise problem from None
                log(f"{layer.diff_id}: {problem.detail}; trying again")
                await asyncio.sleep(LOCKED_SECONDS if locked else PAUSE_SECONDS)
        return came

    def there(self, layer: Layer) -> int:
        """How many of its bytes are here."""
        if self._blobs.has(layer.diff_id):
            return layer.size_bytes
        upload = self._uploads.find(layer.diff_id)
        return 0 if upload is None else min(upload.offset, layer.size_bytes)

    async def take(self, layer: Layer, target: Path) -> None:
        """It is the file `target` from now on, and no blob any more.

        Raises:
            ProblemError: `blob.not_found`.
            OSError: of either file.
        """
        await asyncio.to_thread(self._take, layer.diff_id, target)

    async def forget(self, layer: Layer) -> None:
        """It is not wanted any more, nor what came of it. Raises ProblemError `blob.storage`."""
        await self._uploads.drop_idle(layer.diff_id)
        await asyncio.to_thread(self._blobs.remove, layer.diff_id)

    async def _go_on(
        self, seed: SeedClient, layer: Layer, moved: Callable[[], Awaitable[None]]
    ) -> int:
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
            await self._receive(answer, state, moved)
        except ProblemError as problem:
            received = 0 if answer is None else answer.received_bytes
            raise _EndedEarlyError(problem, received) from None
        finally:
            if answer is not None:
                answer.close()
        return answer.received_bytes

    async def _receive(
        self, answer: Answer, state: UploadState, moved: Callable[[], Awaitable[None]]
    ) -> None:
        async def heard() -> AsyncIterator[bytes]:
            told = 0
            async for piece in answer.pieces():
                if answer.received_bytes - told >= MOVED_BYTES:
                    told = answer.received_bytes
                    await moved()
                yield piece

        stored = answer.layer.stored_bytes
        pieces = _none() if state.offset == stored else heard()
        # A console that began it may not have said the length yet.
        await self._uploads.receive(state.record.id, state.offset, pieces, length=stored)

    def _take(self, diff_id: str, target: Path) -> None:
        with self._blobs.open(diff_id) as file:
            try:
                # Where it lies as it came, the name is all that has to change.
                os.link(file.name, target)
            except (OSError, AttributeError):
                with target.open("xb") as out:
                    shutil.copyfileobj(file, out, MOVED_BYTES)
        self._blobs.remove(diff_id)


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
