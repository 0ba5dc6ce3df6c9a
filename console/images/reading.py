"""Archives read in threads, a little at a time.

Nobody waits long for a thread to let go of a file, and none is in it when it is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TypeVar

from agent.archives.index import ArchiveIndex
from agent.archives.layers import LayerReader, read_layers

# What is passed over in one step.
STEP_BYTES = 4 * 1024 * 1024

T = TypeVar("T")


async def step(call: Callable[[], T]) -> T:
    """What `call` returns, from a thread; a cancellation waits for it."""
    # Not to_thread: the task that it makes can be cancelled under a thread that goes on.
    work = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await asyncio.shield(work)
    finally:
        await over(work)


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


async def over(work: asyncio.Future[T]) -> None:
    """Wait for the thread, whoever would rather not."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({work})
    if not work.cancelled():
        work.exception()
