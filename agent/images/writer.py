"""One request that writes an upload, from its first byte to its last, or until it is ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine

from agent.images import upload_problems as problems
from agent.images.intake import Intake
from agent.images.threads import Threads, whole
from agent.protocol.problems import ProblemError

PIECE_BYTES = 512 * 1024


class Writer:
    """Holds an upload while it writes."""

    def __init__(self) -> None:
        self.released = asyncio.Event()  # set when it no longer holds the upload
        self._task: asyncio.Task[None] | None = None
        self._waiting_since: float | None = None  # for bytes; None: busy with those it has
        self._refusal: ProblemError | None = None  # why it was ended

    def silent_for(self) -> float:
        """Seconds since it began to wait for bytes; 0 while it is busy."""
        return 0.0 if self._waiting_since is None else time.monotonic() - self._waiting_since

    async def run(self, work: Coroutine[None, None, None], *, stalled_seconds: float) -> None:
        """Do the work, and end it when no bytes come for too long, or with the caller.

        Raises:
            ProblemError: the work's own, or the one that `end` was given.
        """
        task = self._task = asyncio.create_task(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=stalled_seconds / 4)
                if self.silent_for() > stalled_seconds:
                    await self.end(problems.stalled(stalled_seconds))
        except asyncio.CancelledError:
            await self.end(problems.stopping())
            raise
        if task.cancelled():
            raise self._refusal or problems.stopping()
        task.result()

    async def end(self, refusal: ProblemError) -> None:
        """End it, and wait until it has kept what may be kept."""
        if self._task is not None and not self._task.done():
            self._refusal = self._refusal or refusal
            self._task.cancel()
            await asyncio.wait({self._task})

    async def take(
        self,
        intake: Intake,
        chunks: AsyncIterator[bytes],
        threads: Threads,
        *,
        progressed: Callable[[], None],
    ) -> None:
        """Write and hash a piece in a thread while the next one is gathered."""
        gathered = bytearray()
        writing: asyncio.Future[None] | None = None
        try:
            while (chunk := await self._next(chunks)) is not None:
                intake.expect(len(chunk))
                gathered += chunk
                if len(gathered) >= PIECE_BYTES:
                    if writing is not None:
                        await whole(writing)
                        progressed()
                    writing = threads.start(intake.take, gathered)
                    gathered = bytearray()
        finally:
            if writing is not None:
                await whole(writing)
            if gathered and not intake.broken:
                await threads.run(intake.take, gathered)

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        self._waiting_since = time.monotonic()
        try:
            return await anext(chunks, None)
        finally:
            self._waiting_since = None
