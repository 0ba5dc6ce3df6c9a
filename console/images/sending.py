"""Layers on their way to one node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from typing import Protocol

from agent.archives.encoders import Encoder, encode
from agent.archives.index import ArchiveIndex
from agent.archives.layers import LayerReader, open_layer, read_layers
from agent.protocol.images import Layer
from agent.protocol.problems import ProblemError
from console.images.rate import RateLimit
from console.link.uploads import Upload, UploadClient

# Over one link more only fill the same pipe; a few hide the pauses between small layers.
AT_ONCE = 3
# Another console sends the same layer: it may finish, or fall silent.
LOCKED_SECONDS = 2.0


class Sent(Protocol):
    """Hears of bytes as they go."""

    def __call__(self, layer: Layer, position: int, count: int) -> None:
        """`count` more bytes went over the link; `position` of the unpacked layer is reached."""


class Sender:
    """Sends layers of archives to one node, each from where it was cut."""

    def __init__(
        self,
        uploads: UploadClient,
        *,
        encoder: Callable[[Layer], Encoder],
        limit: RateLimit,
        sent: Sent,
    ) -> None:
        self._uploads, self._encoder, self._limit, self._sent = uploads, encoder, limit, sent

    async def send(self, layers: Sequence[Layer], places: dict[str, ArchiveIndex]) -> None:
        """Have all these layers on the node.

        Raises:
            ProblemError: the first that ended it; what was acknowledged stays there.
        """
        for archive in {index.path: index for index in places.values()}.values():
            mine = [layer for layer in layers if places[layer.diff_id].path == archive.path]
            if archive.compression == "none":
                await self._at_once(archive, mine)
            elif mine:
                await self._in_one_pass(archive, mine)

    async def _at_once(self, archive: ArchiveIndex, layers: Sequence[Layer]) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(layer: Layer) -> None:
            async with gate:
                reader = await asyncio.to_thread(open_layer, archive, layer.diff_id)
                try:
                    await self._one(layer, reader)
                finally:
                    reader.close()

        tasks = [asyncio.create_task(one(layer)) for layer in layers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _in_one_pass(self, archive: ArchiveIndex, layers: Sequence[Layer]) -> None:
        """A compressed archive can only be read from its beginning."""
        wanted = {layer.diff_id: layer for layer in layers}
        readers = read_layers(archive, wanted.keys())
        try:
            while (found := await asyncio.to_thread(next, readers, None)) is not None:
                archived, reader = found
                await self._one(wanted[archived.diff_id], reader)
        finally:
            await asyncio.to_thread(readers.close)

    async def _one(self, layer: Layer, reader: LayerReader) -> None:
        encoder = self._encoder(layer)
        upload = await self._begin(layer, encoder)
        if upload is None:
            return
        pieces = encode(reader, encoder, skip=upload.offset)

        def went(count: int) -> None:
            self._sent(layer, reader.position, count)

        upload = await self._uploads.append(upload, self._paced(pieces, went))
        if encoder.compresses:
            await self._uploads.finish(upload)

    async def _begin(self, layer: Layer, encoder: Encoder) -> Upload | None:
        while True:
            try:
                return await self._uploads.begin(layer, encoder.name)
            except ProblemError as problem:
                if problem.code != "upload.locked":
                    raise
            await asyncio.sleep(LOCKED_SECONDS)

    async def _paced(
        self, pieces: Iterator[bytes], went: Callable[[int], None]
    ) -> AsyncIterator[bytes]:
        """The pieces as the limit lets them go; the next one is read meanwhile."""
        reading = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
        try:
            while (piece := await reading) is not None:
                reading = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
                for start in range(0, len(piece), self._limit.piece_bytes):
                    part = piece[start : start + self._limit.piece_bytes]
                    await self._limit.take(len(part))
                    yield part
                    went(len(part))
        finally:
            # The archive is closed next: no thread may be in it then.
            await asyncio.gather(reading, return_exceptions=True)
            if isinstance(pieces, Generator):
                pieces.close()
