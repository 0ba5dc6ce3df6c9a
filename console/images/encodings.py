"""Layers as they go over a link, made once: who was cut goes on from a little way back."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from typing import NamedTuple

from agent.archives.encoders import Encoder, encode
from agent.archives.layers import LayerReader
from console.images.reading import over

# What ssh and the kernel have taken and not sent is behind: up to 2.8 MB at 20 Mbit/s (seen).
KEPT_BYTES = 4 * 1024 * 1024


class Piece(NamedTuple):
    """Encoded bytes, and how far into the unpacked layer they reach."""

    data: bytes
    position: int


class Encoding:
    """The encoded bytes of one layer; the next ones are made in a thread meanwhile.

    Without it 9 GB would be read and compressed again before a layer that was cut there goes on.
    """

    def __init__(self, reader: LayerReader, encoder: Encoder) -> None:
        """Has the reader from now on, and closes it."""
        self.encoder = encoder
        self.broken = False  # the layer cannot be read; nothing more comes of it
        self._reader, self._encoded = reader, encode(reader, encoder)
        self._made = 0
        self._kept: deque[tuple[int, Piece]] = deque()  # by their first byte
        self._coming: asyncio.Future[Piece | None] | None = None

    def reaches(self, offset: int) -> bool:
        """Whether it can begin at that byte without beginning anew."""
        return not self.broken and offset >= (self._kept[0][0] if self._kept else 0)

    async def pieces(self, offset: int) -> AsyncGenerator[Piece, None]:
        """The bytes from `offset` on, where it `reaches`. One caller at a time.

        Raises:
            ProblemError: `archive.*`.
        """
        for start, piece in list(self._kept):
            if start + len(piece.data) > offset:
                yield _from(piece, offset - start)
        while (made := await self._next()) is not None:
            start, piece = made
            if start + len(piece.data) > offset:
                yield _from(piece, offset - start)

    async def close(self) -> None:
        """Let go of the archive, once the thread has."""
        if self._coming is not None:
            await over(self._coming)
        self._encoded.close()
        self._reader.close()

    async def _next(self) -> tuple[int, Piece] | None:
        loop = asyncio.get_running_loop()
        if self._coming is None:
            self._coming = loop.run_in_executor(None, self._make)
        # Whoever is cut while waiting finds it here the next time.
        piece = await asyncio.shield(self._coming)
        if piece is None:
            return None
        self._coming = loop.run_in_executor(None, self._make)
        start, self._made = self._made, self._made + len(piece.data)
        self._kept.append((start, piece))
        while len(self._kept) > 1 and self._made - self._kept[1][0] >= KEPT_BYTES:
            self._kept.popleft()
        return start, piece

    def _make(self) -> Piece | None:
        try:
            data = next(self._encoded, None)
        except BaseException:
            self.broken = True
            raise
        return None if data is None else Piece(data, self._reader.position)


class Encodings:
    """Those that were cut, until they are asked for again."""

    def __init__(self) -> None:
        self._cut: dict[str, Encoding] = {}  # by diff_id

    async def take(self, diff_id: str, encoder: Encoder, offset: int) -> Encoding | None:
        """The one that can go on at `offset`, which is the caller's from now on."""
        found = self._cut.pop(diff_id, None)
        if found is None or (found.encoder == encoder and found.reaches(offset)):
            return found
        await found.close()
        return None

    def put_back(self, diff_id: str, encoding: Encoding) -> None:
        """It was cut, and is not in use any more."""
        self._cut[diff_id] = encoding

    async def close(self) -> None:
        """Nobody goes on with any."""
        while self._cut:
            _, encoding = self._cut.popitem()
            with contextlib.suppress(OSError):
                await encoding.close()


def _from(piece: Piece, skip: int) -> Piece:
    return Piece(piece.data[skip:], piece.position) if skip > 0 else piece
