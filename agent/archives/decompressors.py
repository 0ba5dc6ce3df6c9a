"""Decompression that is fed with bytes and gives bounded pieces: gzip, bzip2, xz, zstd."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

import zstandard

from agent.archives.zstd_blocks import NotZstdError, Piece, ZstdBlocks

Compression = Literal["none", "gzip", "bzip2", "xz", "zstd"]

PIECE_BYTES = 1024 * 1024
# What `zstd --ultra -22` and `zstd --long` need; also the most that `zstd -d` takes unasked.
WINDOW_LIMIT_BYTES = 128 * 1024 * 1024
# `xz -9` needs 65 MiB.
XZ_LIMIT_BYTES = 192 * 1024 * 1024
HEAD_BYTES = 6  # enough to tell a compression by its magic
MAGIC: tuple[tuple[bytes, Compression], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)


class DamagedError(Exception):
    """The compressed bytes are not valid, or need more memory than is allowed."""


class CutOffError(DamagedError):
    """The bytes end too early."""


class Decompressor(Protocol):
    """Takes compressed bytes as they come."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Pieces of up to 1 MiB. Take them all before the next feed. Raises DamagedError."""

    def finish(self) -> None:
        """After the last feed. Raises CutOffError when more should have come."""


def compression_of(head: bytes) -> Compression:
    """What the first bytes (at least 6, if there are as many) say."""
    for magic, compression in MAGIC:
        if head.startswith(magic):
            return compression
    # A zstd file may begin with frames to skip; their magic has 16 values.
    if head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return "zstd"
    return "none"


def decompressor(
    compression: Compression, *, window_limit_bytes: int = WINDOW_LIMIT_BYTES
) -> Decompressor:
    """One for this compression; `none` passes the bytes through."""
    if compression == "zstd":
        return _Zstd(window_limit_bytes)
    if compression == "gzip":
        return _Streams(_Zlib)
    if compression == "bzip2":
        return _Streams(lambda: _Stream(bz2.BZ2Decompressor()))
    if compression == "xz":
        return _Streams(
            lambda: _Stream(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_LIMIT_BYTES))
        )
    return _Nothing()


class _Nothing:
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield data

    def finish(self) -> None:
        pass


class _Step(Protocol):
    """One stream of the compressed file; `hungry`: it needs input to give more."""

    hungry: bool

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def step(self, data: bytes) -> bytes: ...


class _Zlib:
    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self.hungry = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def step(self, data: bytes) -> bytes:
        piece = self._zlib.decompress(data or self._zlib.unconsumed_tail, PIECE_BYTES)
        # A full piece may leave output inside zlib with no input left over.
        self.hungry = not self._zlib.unconsumed_tail and len(piece) < PIECE_BYTES
        return piece


class _Stream:
    """bz2's and lzma's decompressors have one interface; zlib's is older."""

    def __init__(self, stream: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._stream = stream
        self.hungry = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def step(self, data: bytes) -> bytes:
        piece = self._stream.decompress(data, PIECE_BYTES)
        self.hungry = self._stream.needs_input
        return piece


class _Streams:
    """Several streams one after the other, as `cat a.gz b.gz` makes; zeros may lie between."""

    def __init__(self, make: Callable[[], _Step]) -> None:
        self._make = make
        self._stream: _Step | None = None
        self._ended = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        while True:
            if self._stream is None:
                data = data.lstrip(b"\0") if self._ended else data
                if not data:
                    return
                self._stream = self._make()
            stream = self._stream
            try:
                piece = stream.step(data)
            except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
                raise DamagedError(str(error)) from None
            data = b""
            if piece:
                yield piece
            if stream.eof:
                data = stream.unused_data
                self._stream = None
                self._ended += 1
            elif stream.hungry:
                return

    def finish(self) -> None:
        if self._stream is not None or not self._ended:
            raise CutOffError("it ends within the compressed data")


class _Zstd:
    """Fed block by block: a block gives 128 KiB at most, so no input makes a huge piece."""

    def __init__(self, window_limit_bytes: int) -> None:
        self._zstd = zstandard.ZstdDecompressor(max_window_size=window_limit_bytes)
        self._blocks = ZstdBlocks()
        self._frame: zstandard.ZstdDecompressionObj | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            for piece in self._blocks.split(data):
                decoded = self._decode(piece)
                if decoded:
                    yield decoded
        except NotZstdError as error:
            raise DamagedError(str(error)) from None

    def _decode(self, piece: Piece) -> bytes:
        if piece.begins:
            self._frame = self._zstd.decompressobj()
        if self._frame is None:
            raise DamagedError("a zstd block lies outside a frame")
        try:
            decoded = self._frame.decompress(piece.data)
        except zstandard.ZstdError as error:
            raise DamagedError(str(error)) from None
        if piece.ends:
            if not self._frame.eof:
                raise DamagedError("a zstd frame does not end where it should")
            self._frame = None
        return decoded

    def finish(self) -> None:
        if not self._blocks.complete:
            raise CutOffError("it ends within the compressed data")
