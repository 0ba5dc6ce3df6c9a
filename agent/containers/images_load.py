"""Loading an archive into the runtime, or a build's context, as a stream."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeAlias, TypeVar

import msgspec

from agent.containers.addresses import socket_path
from agent.containers.api_stream import ApiAnswer, StreamBrokenError, StreamRefusedError
from agent.containers.connection import Connection
from agent.containers.frames import FramingError
from agent.containers.images_answers import LoadAnswer
from agent.containers.images_problems import load_failed
from agent.containers.images_results import LoadedImages
from agent.containers.images_upload import Upload
from agent.containers.refusals import problem_of
from agent.containers.workers import Workers
from agent.protocol.problems import ProblemError

log = logging.getLogger(__name__)

T = TypeVar("T")
Chunks: TypeAlias = "AsyncIterator[bytes] | Iterator[bytes]"

CONNECT_SECONDS = 10.0
# How long a runtime that stopped taking the archive may still take to say why.
LAST_WORDS_SECONDS = 10.0
# How long a read that hangs may hold up the end of a load that was cancelled.
LAST_READ_SECONDS = 5.0


async def load(
    connection: Connection,
    chunks: Chunks,
    *,
    size_bytes: int | None,
    platform: str | None,
) -> LoadedImages:
    """See `runtime.ContainerRuntime.load_image`.

    Args:
        platform: what the API's query wants, in JSON; None: it is not asked to check one.
    """
    target = f"/v{connection.api_version}/images/load?quiet=1"
    if platform is not None:
        target += f"&platform={platform}"
    try:
        return await streamed(connection, target, chunks, size_bytes=size_bytes, hear=_hear)
    except StreamRefusedError as error:
        raise load_failed(error.message) from error


async def streamed(
    connection: Connection,
    target: str,
    chunks: Chunks,
    *,
    size_bytes: int | None,
    hear: Callable[[ApiAnswer], Coroutine[Any, Any, T]],
) -> T:
    """POST the chunks to `target`; what `hear` makes of the answer, which it reads to its end.

    Raises:
        ProblemError: `runtime.*`; `image.load_failed` where `size_bytes` is not their length; what
            `hear` and `chunks` raise.
        StreamRefusedError: the runtime answered with an error status.
    """
    address = connection.address
    try:
        async with Upload.begin(
            socket_path(address), target, connect_seconds=CONNECT_SECONDS
        ) as upload:
            hearing = asyncio.create_task(hear(upload.answer))
            sending = asyncio.create_task(_send(upload, chunks, size_bytes))
            try:
                return await _outcome(hearing, sending)
            finally:
                for task in (hearing, sending):
                    task.cancel()
                await asyncio.gather(hearing, sending, return_exceptions=True)
    except (_CutError, StreamBrokenError, FramingError, OSError) as error:
        raise problem_of(_way(error), address) from error
    except _SourceError as error:
        raise error.cause from None


class _SourceError(Exception):
    """What the archive's own reader raised: it must not be taken for the runtime's fault."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class _CutError(Exception):
    """The runtime does not take any more."""


def _way(error: Exception) -> Exception:
    if isinstance(error, _CutError | FramingError):
        return StreamBrokenError(str(error))
    return error


async def _outcome(hearing: asyncio.Task[T], sending: asyncio.Task[None]) -> T:
    """What the runtime says; it may say it before it has the whole archive."""
    await asyncio.wait({hearing, sending}, return_when=asyncio.FIRST_COMPLETED)
    if sending.done() and not hearing.done():
        failed = sending.exception()
        if failed is not None and not isinstance(failed, _CutError):
            raise failed
        if failed is not None:
            done, _ = await asyncio.wait({hearing}, timeout=LAST_WORDS_SECONDS)
            if not done:
                raise failed
    return await hearing


async def _hear(answer: ApiAnswer) -> LoadedImages:
    """Read the whole answer.

    Raises:
        ProblemError: `image.load_failed`, `space.full`.
        StreamRefusedError, StreamBrokenError, FramingError
    """
    said = LoadAnswer()
    while pieces := await answer.read():
        for piece in pieces:
            said.feed(piece.data)
    loaded = said.end()
    if said.failures:
        raise load_failed("; ".join(said.failures))
    if not loaded.names and not loaded.ids:
        raise load_failed("")
    return loaded


async def _send(upload: Upload, chunks: Chunks, size_bytes: int | None) -> None:
    """Send all chunks and the end.

    Raises:
        _SourceError: from the chunks, or there are not as many bytes as said.
        _CutError: the runtime does not take any more.
    """
    sent = 0
    async with contextlib.aclosing(_pulled(chunks)) as pulled:
        while size_bytes is None or sent <= size_bytes:
            try:
                chunk = await anext(pulled, None)
            except Exception as error:
                raise _SourceError(error) from error
            if chunk is None:
                break
            try:
                await upload.send(chunk)
            except OSError as error:
                raise _CutError(str(error)) from error
            sent += len(chunk)
    if size_bytes is not None and sent != size_bytes:
        raise _SourceError(_wrong_size(sent, size_bytes))
    try:
        await upload.finish()
    except OSError as error:
        raise _CutError(str(error)) from error


async def _pulled(chunks: Chunks) -> AsyncGenerator[bytes, None]:
    """The chunks; those of a plain iterator are read in a thread."""
    if isinstance(chunks, AsyncIterator):
        async for chunk in chunks:
            yield chunk
        return
    # One of its own: a disk that hangs takes none from others, and with several, each would keep
    # some MB of what it read.
    workers = Workers("archive", count=1, waiting=0)
    try:
        while (read := await _next(workers, chunks)) is not None:
            yield read
    finally:
        workers.stop()


async def _next(workers: Workers, chunks: Iterator[bytes]) -> bytes | None:
    reading = asyncio.ensure_future(workers.run(lambda: next(chunks, None)))
    try:
        return await asyncio.shield(reading)
    except asyncio.CancelledError:
        # Whoever closes the iterator next must not find a thread inside it.
        await asyncio.wait({reading}, timeout=LAST_READ_SECONDS)
        if not reading.done():
            log.warning("a read of the archive hangs")
        elif not reading.cancelled():
            reading.exception()
        raise


def _wrong_size(sent: int, size_bytes: int) -> ProblemError:
    more = "more than" if sent > size_bytes else f"{sent} bytes instead of"
    return ProblemError(
        "image.load_failed",
        f"the archive has {more} {size_bytes} bytes",
        params={"sent_bytes": sent, "size_bytes": size_bytes},
        hint="It changed while it was read, or it is cut off.",
    )


def platform_query(os: str, architecture: str, variant: str) -> str:
    """A platform as the API wants it, not yet quoted."""
    parts = {"os": os, "architecture": architecture} | ({"variant": variant} if variant else {})
    return msgspec.json.encode(parts).decode()
