"""Encoding for the wire: the same bytes each time, decoded within bounds."""

from __future__ import annotations

import io
import tracemalloc
from random import Random

import pytest
import zstandard

from agent.archives.encoders import (
    IDENTITY,
    Encoder,
    decode,
    encode,
    encoder_named,
    zstd_encoder,
)
from agent.protocol.problems import ProblemError
from tests.archives_made import layer

MIB = 1024 * 1024
DATA = layer("one", 700_000) + bytes(2 * MIB) + Random(1).randbytes(MIB)
ENCODERS = [IDENTITY, zstd_encoder(1), zstd_encoder(3)]


class Stuttering:
    """A reader that gives as little as it likes."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self._random = Random(7)

    def read(self, count: int) -> bytes:
        return self._file.read(self._random.randint(1, count))


def encoded(encoder: Encoder, skip: int = 0) -> bytes:
    return b"".join(encode(Stuttering(DATA), encoder, skip=skip))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_same_bytes_each_time_however_they_are_read(encoder: Encoder) -> None:
    whole = b"".join(encode(io.BytesIO(DATA), encoder))
    assert encoded(encoder) == whole
    for skip in (1, len(whole) // 2, len(whole) - 1, len(whole), len(whole) + 5):
        assert encoded(encoder, skip) == whole[skip:]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_there_and_back(encoder: Encoder) -> None:
    pieces = decode(
        encode(Stuttering(DATA), encoder), compressed=encoder.compresses, limit_bytes=len(DATA)
    )
    assert b"".join(pieces) == DATA


def test_what_is_encoded_is_plain_zstd() -> None:
    assert zstandard.ZstdDecompressor().decompressobj().decompress(encoded(zstd_encoder(3))) == DATA
    assert len(encoded(zstd_encoder(3))) < len(DATA) / 2


def test_nothing_at_all() -> None:
    for encoder in ENCODERS:
        pieces = list(encode(io.BytesIO(b""), encoder))
        assert b"".join(decode(pieces, compressed=encoder.compresses, limit_bytes=0)) == b""


def test_names() -> None:
    assert IDENTITY.name == "identity"
    name = zstd_encoder(3).name
    assert name.startswith("zstd-1.")
    assert f"/python-zstandard-{zstandard.__version__}/level3/threads0" in name
    assert encoder_named(name) == zstd_encoder(3)
    assert encoder_named("identity") == IDENTITY
    assert encoder_named(name.replace("zstd-1", "zstd-0")) is None
    with pytest.raises(ValueError, match="level"):
        zstd_encoder(22)


@pytest.mark.parametrize("cut", [1, 3, 1000, 200_000])
def test_a_cut_stream_is_no_whole_one(cut: int) -> None:
    data = encoded(zstd_encoder(3))
    with pytest.raises(ProblemError) as caught:
        list(decode([data[:-cut]], compressed=True, limit_bytes=len(DATA)))
    assert caught.value.code == "archive.encoding"


@pytest.mark.parametrize("place", [0, 4, 9, 5000, -2])
def test_a_damaged_stream(place: int) -> None:
    data = bytearray(encoded(zstd_encoder(3)))
    data[place] ^= 0x40
    with pytest.raises(ProblemError) as caught:
        list(decode([bytes(data)], compressed=True, limit_bytes=len(DATA)))
    assert caught.value.code == "archive.encoding"


def test_a_bomb_of_zeros_is_cut_off_with_flat_memory() -> None:
    zeros = zstandard.ZstdCompressor(3).compressobj()
    bomb = b"".join(zeros.compress(bytes(MIB)) for _ in range(512)) + zeros.flush()
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        read = 0
        with pytest.raises(ProblemError, match="more than 268435456 bytes"):  # noqa: PT012
            for piece in decode([bomb], compressed=True, limit_bytes=256 * MIB):
                read += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == 256 * MIB
    assert peak < 4 * MIB


def test_a_window_of_gigabytes_is_refused() -> None:
    settings = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    data = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    wide = data.compress(DATA) + data.flush()
    with pytest.raises(ProblemError) as caught:
        list(decode([wide], compressed=True, limit_bytes=len(DATA)))
    assert caught.value.code == "archive.encoding"
    limit = 128 * MIB
    pieces = decode([wide], compressed=True, limit_bytes=len(DATA), window_limit_bytes=limit)
    assert b"".join(pieces) == DATA


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_several_frames_in_parts_of_any_size(size: int) -> None:
    one = zstandard.ZstdCompressor(3).compress(DATA[:300_000])
    skipped = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    empty = zstandard.ZstdCompressor(3).compress(b"")
    raw = zstandard.ZstdCompressor(3, write_content_size=False).compress(Random(2).randbytes(5000))
    data = skipped + one + empty + skipped + raw + one + skipped
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    back = b"".join(decode(parts, compressed=True, limit_bytes=MIB))
    assert back == DATA[:300_000] + Random(2).randbytes(5000) + DATA[:300_000]
