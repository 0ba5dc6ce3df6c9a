"""Layers on their way to one load: waited for, or read by the load as they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from anyio import move_on_after

from agent.archives.writing import OpenLayer
from agent.images.blobs import Blobs
from agent.images.uploads import Uploads
from agent.protocol.images import WantedLayer
from agent.protocol.jobs import NO_SENDER, RECEIVING
from agent.protocol.problems import ProblemError

LOOK_SECONDS = 1.0
# Bytes are synced, and so counted, at least each second; a cut link is tried again after that.
QUIET_SECONDS = 10.0
# The runtime begins when the rest is so far away: what comes and what it unpacks overlap. A slow
# link leaves it nothing to hold open for hours.
SOON_SECONDS = 10.0
# Before so much was seen of a link, nobody knows its rate.
SEEN_SECONDS = 0.3
# How long a load that has begun waits while nothing comes; then it begins anew with all.
LATE_SECONDS = 15.0
# In the thread that feeds the runtime.
POLL_SECONDS = 0.02


class Arrival:
    """What one job waits for. `open` is for the thread that feeds the runtime, all else for the
    event loop.
    """

    def __init__(
        self,
        blobs: Blobs,
        uploads: Uploads,
        open_layer: Callable[[str], OpenLayer],
        *,
        told: Callable[[int, int], None],
        stage: Callable[[str], Awaitable[None]],
        ended: Callable[[], bool],
        late_seconds: float = LATE_SECONDS,
        quiet_seconds: float,
    ) -> None:
        """What becomes of it is told to whom it concerns.

        Args:
            told: hears of bytes that are here and of all.
            stage: hears `receiving` at first and whenever bytes come, and `no sender` once none has
                for a while.
            ended: whether the job waits for nothing any more.
        """
        self._blobs, self._uploads, self._open = blobs, uploads, open_layer
        self._told, self._stage, self._ended = told, stage, ended
        self._late_seconds, self._quiet_seconds = late_seconds, quiet_seconds
        self._may_begin_early = True
        self._moved_at = time.monotonic()
        self._watching: asyncio.Task[None] | None = None

    async def soon(self, wanted: Sequence[WantedLayer], *, early: bool = True) -> None:
        """Wait until these layers are here; `early`: or will be before the runtime has read the
        others."""
        await self.stop()
        total = sum(layer.size_bytes for layer in wanted)
        began: tuple[float, int] | None = None
        before, came_at, quiet = -1, 0.0, False
        early = early and self._may_begin_early
        while (received := self._received(wanted)) < total or self._lacks(wanted):
            now = time.monotonic()
            if received != before:
                began = began or (now, received)
                before, came_at, quiet = received, now, False
                await self._stage(RECEIVING)
                self._told(received, total)
            elif not quiet and now - came_at > self._quiet_seconds:
                quiet = True
                await self._stage(NO_SENDER)
                self._told(received, total)
            if (
                early
                and self._may_begin_early
                and began is not None
                and now - began[0] > SEEN_SECONDS
            ):
                rate = (received - began[1]) / (now - began[0])
                if rate * SOON_SECONDS > total - received:
                    self._watching = asyncio.create_task(self._watch(wanted, total))
                    return
            with move_on_after(LOOK_SECONDS):
                await self._uploads.next_change()
            await asyncio.sleep(LOOK_SECONDS / 10)  # changes come in bursts
        self._told(total, total)

    @property
    def arriving(self) -> bool:
        """Whether a load has begun whose layers are not all here."""
        return self._watching is not None and not self._watching.done()

    async def stop(self) -> None:
        """Watch no longer."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None

    def open(self, diff_id: str) -> OpenLayer:
        """A layer for the runtime, as soon as it is whole.

        Raises:
            ProblemError: `blob.not_found`, also where it does not come; `blob.storage`.
        """
        self._moved_at = time.monotonic()
        while self._watching is not None and not self._blobs.has(diff_id):
            if self._ended() or time.monotonic() - self._moved_at > self._late_seconds:
                self._may_begin_early = False
                raise ProblemError(
                    "blob.not_found",
                    f"layer {diff_id} stopped coming",
                    params={"diff_id": diff_id},
                    hint="The job waits until all layers are here, then loads.",
                )
            time.sleep(POLL_SECONDS)
        return self._open(diff_id)

    async def _watch(self, wanted: Sequence[WantedLayer], total: int) -> None:
        before = -1
        while self._lacks(wanted):
            received = self._received(wanted)
            if received != before:
                self._moved_at = time.monotonic()
                self._told(received, total)
                before = received
            with move_on_after(LOOK_SECONDS):
                await self._uploads.next_change()
            await asyncio.sleep(LOOK_SECONDS / 10)
        self._told(total, total)

    def _lacks(self, wanted: Sequence[WantedLayer]) -> bool:
        return any(not self._blobs.has(layer.diff_id) for layer in wanted)

    def _received(self, wanted: Sequence[WantedLayer]) -> int:
        return sum(map(self._received_of, wanted))

    def _received_of(self, layer: WantedLayer) -> int:
        if self._blobs.has(layer.diff_id):
            return layer.size_bytes
        upload = self._uploads.find(layer.diff_id)
        return 0 if upload is None else min(upload.offset, layer.size_bytes)
