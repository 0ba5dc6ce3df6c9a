"""Bytes that are read forwards: a file, a part of another source, what a decompressor gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from agent.archives.decompressors import CutOffError, Decompressor
from agent.archives.faults import FaultError

READ_BYTES = 256 * 1024
CHUNK_BYTES = 1024 * 1024
# Zeros shrink 1000-fold in gzip and 30000-fold in zstd; real layers 2- to 20-fold.
BOMB_RATIO = 200
BOMB_BYTES = 1024 * 1024 * 1024


class Source(Protocol):
    """`position` counts the bytes that were read or skipped."""

    position: int

    def read(self, count: int) -> bytes:
        """As many bytes as asked for; fewer only where the source ends."""

    def skip(self, count: int) -> None:
        """Pass over bytes. Raises CutOffError when the source ends before."""


class FileSource:
    """A file on disk: skipping costs nothing."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._size = size_bytes
        self.position = 0

    def read(self, count: int) -> bytes:
        """From the file."""
        parts: list[bytes] = []
        while count > 0 and (part := self._file.read(count)):
            parts.append(part)
            count -= len(part)
            self.position += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, count: int) -> None:
        """Seek."""
        if count == 0:
            return
        if self.position + count > self._size:
            raise CutOffError("the file ends too early")
        self.position += count
        self._file.seek(self.position)


class PartSource:
    """The next `size_bytes` of another source."""

    def __init__(self, source: Source, size_bytes: int) -> None:
        self._source = source
        self._left = size_bytes
        self.position = 0

    def read(self, count: int) -> bytes:
        """Raises CutOffError when the other source ends before the part does."""
        count = min(count, self._left)
        data = self._source.read(count)
        if len(data) < count:
            raise CutOffError("the file ends too early")
        self._left -= count
        self.position += count
        return data

    def skip(self, count: int) -> None:
        """Raises CutOffError past the end of the part."""
        if count > self._left:
            raise CutOffError("the file ends too early")
        self._source.skip(count)
        self._left -= count
        self.position += count


class PieceSource:
    """What comes in pieces of any size; `end` says what ended too early."""

    def __init__(self, pieces: Iterator[bytes], *, end: str) -> None:
        self._pieces, self._end = pieces, end
        self._piece = memoryview(b"")
        self.position = 0

    def read(self, count: int) -> bytes:
        """From the pieces; raises what making them does."""
        parts: list[memoryview] = []
        while count > 0:
            if not self._piece:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._piece = memoryview(piece)
            part = self._piece[:count]
            self._piece = self._piece[len(part) :]
            parts.append(part)
            count -= len(part)
            self.position += len(part)
        return b"".join(parts)

    def skip(self, count: int) -> None:
        """Take and drop."""
        while count > 0:
            dropped = len(self.read(min(count, CHUNK_BYTES)))
            if not dropped:
                raise CutOffError(f"{self._end} ends too early")
            count -= dropped


def decompressed(source: Source, decompressor: Decompressor) -> PieceSource:
    """What a decompressor makes of another source.

    Reading raises DamagedError, also at the end where the data is not whole, and FaultError
    `archive.bomb` when it grows out of all measure.
    """

    def pieces() -> Iterator[bytes]:
        made = 0
        while data := source.read(READ_BYTES):
            for piece in decompressor.feed(data):
                made += len(piece)
                if made > BOMB_BYTES and made > BOMB_RATIO * source.position:
                    raise FaultError(
                        "archive.bomb",
                        f"{source.position} compressed bytes became more than {made}: "
                        "it is made to fill memory or disk",
                    )
                yield piece
        decompressor.finish()

    return PieceSource(pieces(), end="the compressed data")
