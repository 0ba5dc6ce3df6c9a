"""Server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
from litestar.response import Stream

from agent.protocol.problems import ProblemError


def event(name: str, data: object) -> bytes:
    """One event without an id; `data` as JSON."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))


def event_stream(chunks: AsyncIterator[bytes]) -> Stream:
    """An answer of events. A problem in mid-stream becomes `event: problem`, the last one."""
    return Stream(
        _told(chunks), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


async def _told(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in chunks:
            yield chunk
    except ProblemError as problem:
        yield event("problem", problem.problem())
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
