"""Layers of archives read to their end ahead of their sending.

Over a slow link a layer that is damaged would else show only hours later, when it was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from agent.archives.index import ArchiveIndex
from agent.archives.layers import open_layer
from agent.archives.verified_cache import VerifiedCache
from agent.protocol.problems import ProblemError
from console.images.reading import STEP_BYTES, step

HINT = "Take another copy of the archive; what came is kept on the node, so only the rest is sent."


class Vetting:
    """Verifies layers for all pushes that share it: each once, one at a time. For one event loop.

    Who makes it also stops it.
    """

    def __init__(self, cache: VerifiedCache) -> None:
        self._cache = cache
        self._layers: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()

    async def check(self, places: Mapping[str, ArchiveIndex]) -> None:
        """See that these layers, by diff_id, are whole in their archives.

        Raises:
            ProblemError: `archive.*`, as soon as one is not.
        """
        unverified: dict[str, set[str]] = {}
        for index in {index.path: index for index in places.values()}.values():
            unverified[index.path] = await step(partial(self._cache.unverified, index))
        for diff_id, index in places.items():
            if diff_id not in unverified[index.path]:
                continue
            key = (index.path, diff_id)
            if key not in self._layers:
                self._layers[key] = asyncio.create_task(self._verify(index, diff_id))
            await asyncio.shield(self._layers[key])

    async def stop(self) -> None:
        """End what is being read; what was verified is kept."""
        for task in self._layers.values():
            task.cancel()
        await asyncio.gather(*self._layers.values(), return_exceptions=True)

    async def _verify(self, index: ArchiveIndex, diff_id: str) -> None:
        async with self._turn:
            reader = await step(partial(open_layer, index, diff_id))
            try:
                while reader.position < reader.layer.size_bytes:
                    await step(partial(reader.skip, STEP_BYTES))
                await step(partial(reader.skip, 1))  # of an empty one, too
            except ProblemError as problem:
                if problem.code == "archive.layer_corrupt":
                    raise _corrupt(index, diff_id, problem) from None
                raise
            finally:
                await step(reader.close)
            await step(partial(self._cache.add, index, [diff_id]))


def _corrupt(index: ArchiveIndex, diff_id: str, problem: ProblemError) -> ProblemError:
    """The same, with the layer's own name."""
    return ProblemError(
        problem.code,
        f"{problem.detail} (layer {diff_id})" if diff_id not in problem.detail else problem.detail,
        params={**problem.params, "file": index.path, "diff_id": diff_id},
        hint=HINT,
    )
