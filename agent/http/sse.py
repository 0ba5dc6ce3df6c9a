"""Server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import msgspec
from litestar.response import Stream

from agent.protocol.live import COMMENT_EVERY_SECONDS
from agent.protocol.problems import ProblemError

COMMENT = b":\n\n"


def event(name: str, data: object) -> bytes:
    """One event without an id; `data` as JSON."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))


def event_stream(
    chunks: AsyncIterator[bytes], *, comment_every: float | None = COMMENT_EVERY_SECONDS
) -> Stream:
    """An answer of events. A problem in mid-stream becomes `event: problem`, the last one.

    A comment after so many seconds of silence tells the reader that the link lives; None:
    `chunks` has comments of its own.
    """
    events = _told(chunks)
    if comment_every is not None:
        events = with_comments(events, comment_every)
    return Stream(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def with_comments(
    chunks: AsyncGenerator[bytes, None], every: float
) -> AsyncGenerator[bytes, None]:
    """The chunks, and a comment whenever there was none for `every` seconds."""
    coming: asyncio.Task[bytes | None] | None = None
    try:
        while True:
            # In a task of its own: a time-out must not cancel what the chunks wait for.
            coming = coming or asyncio.create_task(_next(chunks))
            if not (await asyncio.wait({coming}, timeout=every))[0]:
                yield COMMENT
                continue
            arrived, coming = coming, None
            chunk = arrived.result()
            if chunk is None:
                return
            yield chunk
    finally:
        if coming is None:
            await chunks.aclose()
        else:
            # It puts its own things away, however often we are cancelled while we wait for it.
            coming.cancel()
            await asyncio.wait({coming})


async def _next(chunks: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(chunks, None)


async def _told(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in chunks:
            yield chunk
    except ProblemError as problem:
        yield event("problem", problem.problem())
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()
