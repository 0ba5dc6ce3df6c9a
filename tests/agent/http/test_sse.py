"""Comments that prove life where a stream has nothing to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from agent.http.sse import COMMENT, with_comments

OFTEN = 0.01
NEVER = 3600.0


class Source:
    """Chunks that the test gives; `ended` once what gives them was put away."""

    def __init__(self) -> None:
        self.given: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.ended = asyncio.Event()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            while (chunk := await self.given.get()) is not None:
                yield chunk
        finally:
            await asyncio.sleep(0)  # as closing a connection would
            self.ended.set()


async def test_silence_is_filled_and_nothing_is_lost() -> None:
    source = Source()
    stream = with_comments(source.chunks(), OFTEN)
    assert [await anext(stream) for _ in range(3)] == [COMMENT] * 3
    source.given.put_nowait(b"a")
    source.given.put_nowait(b"b")
    said = [await anext(stream), await anext(stream)]
    assert [chunk for chunk in said if chunk != COMMENT] == [b"a", b"b"]
    assert await anext(stream) == COMMENT
    source.given.put_nowait(None)
    assert [chunk async for chunk in stream if chunk != COMMENT] == []
    assert source.ended.is_set()


async def test_what_is_not_silent_gets_no_comments() -> None:
    source = Source()
    for chunk in (b"a", b"b", None):
        source.given.put_nowait(chunk)
    assert [chunk async for chunk in with_comments(source.chunks(), NEVER)] == [b"a", b"b"]
    assert source.ended.is_set()


async def test_what_fails_fails() -> None:
    async def chunks() -> AsyncGenerator[bytes, None]:
        yield b"a"
        raise ZeroDivisionError

    stream = with_comments(chunks(), NEVER)
    assert await anext(stream) == b"a"
    with pytest.raises(ZeroDivisionError):
        await anext(stream)


@pytest.mark.parametrize("every", [OFTEN, NEVER])
async def test_a_reader_that_leaves_ends_the_source(every: float) -> None:
    """At a comment, and between two chunks."""
    source = Source()
    source.given.put_nowait(b"a")
    stream = with_comments(source.chunks(), every)
    assert await anext(stream) == b"a"
    if every == OFTEN:
        assert await anext(stream) == COMMENT
    await stream.aclose()
    await source.ended.wait()


async def test_a_reader_that_is_cancelled_while_it_waits_ends_the_source() -> None:
    source = Source()
    stream = with_comments(source.chunks(), NEVER)
    reader = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(OFTEN)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await source.ended.wait()
