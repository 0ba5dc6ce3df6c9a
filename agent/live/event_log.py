"""The one log of changes of a node, shared by everyone who follows `/v1/events`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable

import msgspec

from agent.protocol.live import COMMENT_EVERY_SECONDS, Sections, Snapshot, difference

# At 1 Hz this is over eight minutes of a busy node; a link that was away longer gets a snapshot.
CAPACITY_EVENTS = 512
CAPACITY_BYTES = 1024 * 1024

COMMENT = b":\n\n"


class EventLog:
    """The node's picture and a bounded log of how it became so.

    Each event is a change against the picture before it, encoded once whoever reads it.
    Ids are `<boot>-<n>`; a reader that names one that is still in the log goes on from there,
    every other reader starts with a snapshot, as does one that fell behind the log.
    """

    def __init__(
        self,
        boot: str,
        *,
        clock: Callable[[], float] = time.time,
        capacity_events: int = CAPACITY_EVENTS,
    ) -> None:
        self.boot = boot
        self._clock = clock
        self._capacity_events = capacity_events
        self._sections: Sections = {}
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._last = 0  # number of the newest event
        self._waiting: set[asyncio.Future[None]] = set()
        self._encoder = msgspec.json.Encoder()

    @property
    def sections(self) -> Sections:
        """The picture. Not to be changed by the caller."""
        return self._sections

    def update(self, after: Sections) -> bool:
        """Take the sections given as the new truth; says whether anything differs.

        Records must be fresh objects or the very same as before: the log keeps them.
        """
        change = difference(self._sections, after, at=self._clock())
        if change is None:
            return False
        self._sections = {**self._sections, **after}
        self._last += 1
        self._append(self._frame("change", self._encoder.encode(change)))
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        return True

    def snapshot(self) -> bytes:
        """The picture as the event that a new reader gets."""
        body = Snapshot(at=self._clock(), sections=self._sections)
        return self._frame("snapshot", self._encoder.encode(body))

    async def follow(self, last_event_id: str | None = None) -> AsyncIterator[bytes]:
        """The stream for one reader, as encoded server-sent events. Never ends by itself."""
        position = self._position(last_event_id)
        while True:
            if position is None or position < self._last - len(self._events):
                position = self._last
                yield self.snapshot()
            elif position < self._last:
                # All that is waiting goes out as one write.
                behind = self._last - position
                position = self._last
                yield b"".join(list(self._events)[-behind:])
            elif not await self._changed(COMMENT_EVERY_SECONDS):
                yield COMMENT

    async def _changed(self, timeout: float) -> bool:
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            done, _ = await asyncio.wait({waiting}, timeout=timeout)
        finally:
            self._waiting.discard(waiting)
        return bool(done)

    def _position(self, last_event_id: str | None) -> int | None:
        boot, _, number = (last_event_id or "").rpartition("-")
        if boot != self.boot or not (number.isascii() and number.isdigit()):
            return None
        position = int(number)
        return position if position <= self._last else None

    def _append(self, event: bytes) -> None:
        self._events.append(event)
        self._bytes += len(event)
        while len(self._events) > 1 and (
            len(self._events) > self._capacity_events or self._bytes > CAPACITY_BYTES
        ):
            self._bytes -= len(self._events.popleft())

    def _frame(self, event: str, data: bytes) -> bytes:
        head = f"id: {self.boot}-{self._last}\nevent: {event}\ndata: "
        return head.encode() + data + b"\n\n"
