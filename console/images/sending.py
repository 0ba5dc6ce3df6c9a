"""Layers on their way to one node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Protocol

from agent.archives.encoders import Encoder
from agent.archives.index import ArchiveIndex
from agent.archives.layers import LayerReader, open_layer
from agent.protocol.images import Layer
from agent.protocol.problems import ProblemError
from console.images.encodings import Encoding, Encodings
from console.images.rate import Allowance
from console.images.reading import in_one_pass, step
from console.link.problems import garbage
from console.link.uploads import Upload, UploadClient

# Over one link more only fill the same pipe; a few hide the pauses between small layers.
AT_ONCE = 3
# These are about one layer: the others go on.
_OF_ONE_LAYER = ("upload.", "blob.")


Opened = Callable[[], Awaitable[LayerReader]]


class Sent(Protocol):
    """Hears of bytes as they go."""

    def __call__(self, layer: Layer, position: int, count: int) -> None:
        """`count` more bytes went over the link; `position` of the unpacked layer is reached."""


class Sender:
    """Sends layers of archives to one node, each from where it was cut.

    `encodings` are those of sends before this one. Good for one `send`.
    """

    def __init__(
        self,
        uploads: UploadClient,
        encodings: Encodings,
        *,
        encoder: Callable[[Layer], Encoder],
        allowance: Allowance,
        sent: Sent,
        at_once: int = AT_ONCE,
    ) -> None:
        self._uploads, self._encoder, self._sent = uploads, encoder, sent
        self._allowance, self._at_once = allowance, at_once
        self._encodings = encodings
        self._put_off: list[ProblemError] = []

    async def send(self, layers: Sequence[Layer], places: dict[str, ArchiveIndex]) -> None:
        """Have all these layers on the node, or as many as the allowance lets through.

        Raises:
            ProblemError: `upload.*` and `blob.*` when the other layers are there; any other at
                once. What was acknowledged stays there.
        """
        for archive in {index.path: index for index in places.values()}.values():
            mine = [layer for layer in layers if places[layer.diff_id].path == archive.path]
            if archive.compression == "none":
                await self._side_by_side(archive, mine)
            elif mine:
                await self._one_by_one(archive, mine)
        for problem in self._put_off:
            raise problem

    async def _side_by_side(self, archive: ArchiveIndex, layers: Sequence[Layer]) -> None:
        gate = asyncio.Semaphore(self._at_once)

        async def one(layer: Layer) -> None:
            async with gate:
                if self._allowance.stopped:
                    return
                await self._have(layer, partial(_opened, archive, layer.diff_id))

        tasks = [asyncio.create_task(one(layer)) for layer in layers]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one_by_one(self, archive: ArchiveIndex, layers: Sequence[Layer]) -> None:
        """A compressed archive can only be read from its beginning."""
        wanted = {layer.diff_id: layer for layer in layers}
        async with aclosing(in_one_pass(archive, wanted.keys())) as readers:
            async for diff_id, reader in readers:
                if self._allowance.stopped:
                    return
                await self._have(wanted[diff_id], partial(_at_hand, reader), resumable=False)

    async def _have(self, layer: Layer, opened: Opened, *, resumable: bool = True) -> None:
        try:
            await self._one(layer, opened, resumable=resumable)
        except ProblemError as problem:
            if not problem.code.startswith(_OF_ONE_LAYER):
                raise
            self._put_off.append(problem)

    async def _one(self, layer: Layer, opened: Opened, *, resumable: bool) -> None:
        encoder = self._encoder(layer)
        upload = await self._uploads.begin(layer, encoder.name)
        if upload is None:
            return
        encoding = await self._encodings.take(layer.diff_id, encoder, upload.offset)
        encoding = encoding or Encoding(await opened(), encoder)
        try:
            await self._upload(layer, encoding, upload)
        except BaseException:
            if resumable and not encoding.broken:
                self._encodings.put_back(layer.diff_id, encoding)
            else:
                await encoding.close()
            raise
        await encoding.close()

    async def _upload(self, layer: Layer, encoding: Encoding, upload: Upload) -> None:
        body = _Body(layer, encoding, upload, self._allowance, self._sent)
        async with aclosing(body.pieces()) as pieces:
            after = await self._uploads.append(upload, pieces, size_bytes=layer.size_bytes)
        if after.offset != upload.offset + body.sent_bytes:
            raise garbage(
                self._uploads.node,
                f"it has {after.offset} bytes after {upload.offset} and {body.sent_bytes} more",
            )
        if body.whole and encoding.encoder.compresses:
            await self._uploads.finish(after, size_bytes=layer.size_bytes)


async def _opened(archive: ArchiveIndex, diff_id: str) -> LayerReader:
    """From a thread; who is cancelled meanwhile leaves nothing open."""
    made: list[LayerReader] = []
    try:
        await step(lambda: made.append(open_layer(archive, diff_id)))
    except BaseException:
        for reader in made:
            reader.close()
        raise
    return made[0]


async def _at_hand(reader: LayerReader) -> LayerReader:
    return reader


class _Body:
    """The body of one request: what is left of a layer, as its allowance lets it go."""

    def __init__(
        self,
        layer: Layer,
        encoding: Encoding,
        upload: Upload,
        allowance: Allowance,
        sent: Sent,
    ) -> None:
        self._layer, self._encoding, self._offset = layer, encoding, upload.offset
        self._allowance, self._sent = allowance, sent
        self.sent_bytes = 0
        self.whole = False  # nothing is left to be sent

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Ends early, but cleanly, where the allowance is used up: then all that went counts."""
        async with aclosing(self._encoding.pieces(self._offset)) as pieces:
            async for piece in pieces:
                data = memoryview(piece.data)
                while data:
                    part = data[: self._allowance.piece_bytes]
                    if not part:
                        return
                    await self._allowance.take(len(part))
                    data = data[len(part) :]
                    self.sent_bytes += len(part)
                    yield bytes(part)
                    self._sent(self._layer, piece.position - len(data), len(part))
        self.whole = True
