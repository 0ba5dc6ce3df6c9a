"""Layers as they go over the wire: as they are, or zstd; the same bytes each time they are made.

There is no spool: who goes on at byte N encodes again from the start and drops N bytes. That
works only with the same library, version, level and number of threads, hence an encoder's name.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator

import msgspec
import zstandard

from agent.archives.decompressors import DamagedError, decompressor
from agent.archives.faults import FaultError
from agent.archives.layers import Reader
from agent.archives.sources import CHUNK_BYTES

# Level 19 uses a window of 8 MiB, lower ones less; `--long` is never used.
WINDOW_LIMIT_BYTES = 8 * 1024 * 1024
LEVELS = range(1, 20)
_LIBRARY = (
    f"zstd-{'.'.join(str(part) for part in zstandard.ZSTD_VERSION)}"
    f"/python-zstandard-{zstandard.__version__}"
)


class Encoder(msgspec.Struct, frozen=True):
    """How bytes are encoded; `level` is zstd's, None for bytes as they are."""

    level: int | None = None

    @property
    def compresses(self) -> bool:
        """Whether the encoded bytes are zstd, of a length that is known only at the end."""
        return self.level is not None

    @property
    def name(self) -> str:
        """What must be equal for the encoded bytes to be equal."""
        return "identity" if self.level is None else f"{_LIBRARY}/level{self.level}/threads0"


IDENTITY = Encoder()


def zstd_encoder(level: int) -> Encoder:
    """Single-threaded zstd. Raises ValueError unless the level is from 1 to 19."""
    if level not in LEVELS:
        raise ValueError(f"level {level} is not from 1 to 19")
    return Encoder(level)


def encoder_named(name: str) -> Encoder | None:
    """The encoder that began an upload, so that this one can go on; None: it cannot here."""
    for encoder in (IDENTITY, *map(Encoder, LEVELS)):
        if encoder.name == name:
            return encoder
    return None


def encode(reader: Reader, encoder: Encoder, *, skip: int = 0) -> Generator[bytes, None, None]:
    """The encoded bytes from byte `skip` on, in pieces of at most some 1 MiB.

    Raises:
        ProblemError: the reader's.
    """
    for piece in _encoded(reader, encoder):
        if skip < len(piece):
            yield piece[skip:] if skip else piece
        skip = max(0, skip - len(piece))


def decode(
    pieces: Iterable[bytes],
    *,
    compressed: bool,
    limit_bytes: int,
    window_limit_bytes: int = WINDOW_LIMIT_BYTES,
) -> Generator[bytes, None, None]:
    """The bytes that were encoded, in pieces of at most 1 MiB; bounded in size and memory.

    Raises:
        ProblemError: `archive.encoding` for damage, for more than `limit_bytes`, and for what
            needs a window over the limit.
    """
    decoder = decompressor("zstd" if compressed else "none", window_limit_bytes=window_limit_bytes)
    decoded = 0
    try:
        for data in pieces:
            for piece in decoder.feed(data):
                decoded += len(piece)
                if decoded > limit_bytes:
                    raise _undecodable(f"it becomes more than {limit_bytes} bytes")
                yield piece
        decoder.finish()
    except DamagedError as error:
        raise _undecodable(str(error)) from None


def _undecodable(what: str) -> Exception:
    return FaultError("archive.encoding", what, hint="Send it again.").problem("encoded layer")


def _encoded(reader: Reader, encoder: Encoder) -> Iterator[bytes]:
    if encoder.level is None:
        while data := reader.read(CHUNK_BYTES):
            yield data
        return
    zstd = zstandard.ZstdCompressor(level=encoder.level, write_checksum=True).compressobj()
    for chunk in _full_chunks(reader):
        if piece := zstd.compress(chunk):
            yield piece
    yield zstd.flush()


def _full_chunks(reader: Reader) -> Iterator[bytes]:
    """1 MiB each but the last, however the reader cuts: zstd's output may depend on that."""
    while True:
        parts: list[bytes] = []
        lacking = CHUNK_BYTES
        while lacking and (data := reader.read(lacking)):
            parts.append(data)
            lacking -= len(data)
        if parts:
            yield b"".join(parts)
        if lacking:
            return
