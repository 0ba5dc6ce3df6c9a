"""An answer that is a stream of events, as it comes."""

from __future__ import annotations

import asyncio

import h11
import msgspec

from agent.protocol.decoding import from_json
from agent.protocol.problems import Problem, ProblemError
from console.link.connection import Connection, CutError
from console.link.deadline import within
from console.link.events import Event, EventParser
from console.link.problems import fell_silent, garbage, not_http, unreachable


class Stream:
    """Read it until its own last event; close it in any case.

    `silence` is how many seconds may pass without a byte; None: the reader looks to that.
    """

    def __init__(self, node: str, connection: Connection, *, silence: float | None = None) -> None:
        self._node = node
        self._connection = connection
        self._silence = silence
        self._parser = EventParser(node)
        self._unread: list[Event] = []

    @property
    def bytes_received(self) -> int:
        """All that came, heads and comments included."""
        return self._connection.bytes_received

    @property
    def sent_at(self) -> float:
        """When the request went out, in time.monotonic()."""
        return self._connection.sent_at

    async def read(self) -> list[Event]:
        """Wait for a sign of life: events, or none where it was only a comment.

        Raises:
            ProblemError: `link.unreachable` where the stream ends, `link.stale`, `link.garbage`,
                `link.too_large`, and what the agent itself tells in mid-stream.
        """
        if self._unread:
            events, self._unread = self._unread, []
            return events
        while True:
            try:
                data = await self._read()
            except CutError as cut:
                raise self._ended(str(cut)) from None
            except h11.RemoteProtocolError as error:
                raise not_http(self._node, error) from None
            if not data:
                raise self._ended("the stream has ended")
            events, complete = self._parser.feed(data)
            for event in events:
                if event.name == "problem":
                    raise self._problem(event)
            if complete:
                return events

    def unread(self, events: list[Event]) -> None:
        """Give back events, for the next `read`."""
        self._unread = events

    def close(self) -> None:
        self._connection.close()

    async def _read(self) -> bytes:
        if self._silence is None:
            return await self._connection.read()
        try:
            return await within(self._silence, self._connection.read())
        except asyncio.TimeoutError:
            raise fell_silent(
                self._node, self._silence, hint="The link or the machine may be down. Try again."
            ) from None

    def _problem(self, event: Event) -> ProblemError:
        try:
            problem = from_json(event.data, Problem)
        except msgspec.DecodeError as error:
            return garbage(self._node, str(error))
        return ProblemError.from_problem(problem)

    def _ended(self, why: str) -> ProblemError:
        return unreachable(self._node, why, hint="It is tried again by itself where it is live.")
