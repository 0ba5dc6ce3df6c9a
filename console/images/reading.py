"""Archives read in threads, a little at a time.

Nobody waits long for a thread to let go of a file, and none is in it when it is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import NamedTuple, TypeVar

from agent.archives.encoders import Encoder, encode
from agent.archives.index import ArchiveIndex
from agent.archives.layers import LayerReader, read_layers

# What is passed over in one step.
STEP_BYTES = 4 * 1024 * 1024

T = TypeVar("T")


class Piece(NamedTuple):
    """Encoded bytes, and how far into the unpacked layer they reach."""

    data: bytes
    position: int


async def step(call: Callable[[], T]) -> T:
    """What `call` returns, from a thread; a cancellation waits for it."""
    # Not to_thread: the task that it makes can be cancelled under a thread that goes on.
    work = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(work)
    finally:
        await _over(work)


async def encoded(
    reader: LayerReader, encoder: Encoder, *, skip: int
) -> AsyncGenerator[Piece, None]:
    """A layer's encoded bytes from byte `skip` on; the next ones are made meanwhile.

    Raises:
        ProblemError: `archive.*`.
    """
    pieces = encode(reader, encoder)

    def make() -> Piece | None:
        data = next(pieces, None)
        return None if data is None else Piece(data, reader.position)

    loop = asyncio.get_running_loop()
    coming = loop.run_in_executor(None, make)
    try:
        while (piece := await asyncio.shield(coming)) is not None:
            coming = loop.run_in_executor(None, make)
            if skip < len(piece.data):
                yield Piece(piece.data[skip:], piece.position)
            skip = max(0, skip - len(piece.data))
    finally:
        await _over(coming)
        pieces.close()


async def in_one_pass(
    archive: ArchiveIndex, wanted: AbstractSet[str]
) -> AsyncGenerator[tuple[str, LayerReader], None]:
    """The wanted layers by diff_id, as they lie in an archive that is compressed as a whole.

    Raises:
        ProblemError: `archive.*`.
    """
    last = max(n for n, layer in enumerate(archive.layers) if layer.diff_id in wanted)
    passed = {layer.diff_id for layer in archive.layers[: last + 1]}
    readers = await step(partial(read_layers, archive, passed))
    try:
        while (found := await step(partial(next, readers, None))) is not None:
            layer, reader = found
            if layer.diff_id in wanted:
                yield layer.diff_id, reader
                continue
            while reader.position < layer.size_bytes:
                await step(partial(reader.skip, STEP_BYTES))
    finally:
        await step(readers.close)


async def _over(work: asyncio.Future[T]) -> None:
    """Wait for the thread, whoever would rather not."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({work})
    if not work.cancelled():
        work.exception()
