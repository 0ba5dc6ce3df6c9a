"""Callers that do not come to the point are let go."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

# From the first byte of a request to the end of its head; also for a silent new connection.
# uvicorn itself is only strict with connections that are silent after an answer.
HEAD_SECONDS = 10.0


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection which is between requests for too long.

    Such a connection costs an open file and a buffer, and needs no token.
    """

    head_seconds = HEAD_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_again(None)

    def _look_again(self, before: RequestResponseCycle | None) -> None:
        self._timer = self.loop.call_later(self.head_seconds, self._look, before)

    def _look(self, before: RequestResponseCycle | None) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if self.transport.is_closing():
            return
        if cycle is before and (cycle is None or cycle.response_complete):
            self.transport.abort()
            return
        self._look_again(cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)
