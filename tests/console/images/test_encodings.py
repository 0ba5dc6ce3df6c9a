"""Encoded layers that go on from a little way back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from agent.archives.encoders import IDENTITY, Encoder, encode, zstd_encoder
from agent.archives.index import ArchiveIndex
from agent.archives.layers import LayerReader, open_layer
from agent.protocol.problems import ProblemError
from console.images.encodings import KEPT_BYTES, Encoding, Encodings
from tests.console.images.cutting import cutting_link
from tests.console.images.pushing import (
    MIB,
    archive_of,
    client_over,
    image_agent,
    made,
    noise,
    push_over,
)

pytestmark = pytest.mark.timeout(60)

ENCODERS = [IDENTITY, zstd_encoder(3)]


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveIndex:
    return archive_of(tmp_path / "app.tar", made("app:1", noise("layer", 12 * MIB)))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many bytes of layers were read."""
    counts: list[int] = []
    plain = LayerReader.read

    def counting(self: LayerReader, count: int) -> bytes:
        data = plain(self, count)
        counts.append(len(data))
        return data

    monkeypatch.setattr(LayerReader, "read", counting)
    return lambda: sum(counts)


def opened(archive: ArchiveIndex) -> LayerReader:
    return open_layer(archive, archive.layers[0].diff_id)


def whole(archive: ArchiveIndex, encoder: Encoder) -> bytes:
    with opened(archive) as reader:
        return b"".join(encode(reader, encoder))


async def taken(encoding: Encoding, offset: int, at_least: int) -> bytes:
    """Bytes from `offset` on, as one who is cut after `at_least` gets them."""
    found = b""
    async with aclosing(encoding.pieces(offset)) as pieces:
        async for piece in pieces:
            found += piece.data
            if len(found) >= at_least:
                break
    return found


@pytest.mark.parametrize("encoder", ENCODERS)
async def test_who_was_cut_goes_on_and_nothing_is_read_twice(
    archive: ArchiveIndex, read: Callable[[], int], encoder: Encoder
) -> None:
    expected = whole(archive, encoder)
    before = read()
    encoding = Encoding(opened(archive), encoder)
    offset = 0
    while offset < len(expected):
        assert encoding.reaches(offset)
        found = await taken(encoding, offset, 100_000)
        assert found == expected[offset : offset + len(found)]
        # The last third of it was lost on the way.
        offset += len(found) - (0 if offset + len(found) == len(expected) else len(found) // 3)
    assert await taken(encoding, offset, 1) == b""
    await encoding.close()
    assert read() - before == archive.layers[0].size_bytes


@pytest.mark.parametrize("encoder", ENCODERS)
async def test_only_a_little_is_kept(archive: ArchiveIndex, encoder: Encoder) -> None:
    encoding = Encoding(opened(archive), encoder)
    size = len(await taken(encoding, 0, 7 * MIB))
    assert encoding.reaches(size - KEPT_BYTES)
    assert not encoding.reaches(size - KEPT_BYTES - MIB - 1)
    # Further on is a matter of reading on.
    assert encoding.reaches(size + 1)
    await encoding.close()


async def test_a_cut_while_the_next_piece_is_made_loses_nothing(archive: ArchiveIndex) -> None:
    encoding = Encoding(opened(archive), IDENTITY)
    for _ in range(3):
        waiting = asyncio.create_task(taken(encoding, 0, 1))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert await taken(encoding, 0, 13 * MIB) == whole(archive, IDENTITY)
    await encoding.close()


async def test_only_the_same_encoder_goes_on(archive: ArchiveIndex) -> None:
    encodings, name = Encodings(), archive.layers[0].diff_id
    assert await encodings.take(name, IDENTITY, 0) is None
    for encoder, offset in ((zstd_encoder(3), 0), (IDENTITY, 0)):
        reader = opened(archive)
        encoding = Encoding(reader, IDENTITY)
        await taken(encoding, 0, 7 * MIB)
        encodings.put_back(name, encoding)
        assert await encodings.take(name, encoder, offset) is None
        with pytest.raises(ValueError, match="turn"):
            reader.read(1)  # it was closed
    encoding = Encoding(opened(archive), IDENTITY)
    encodings.put_back(name, encoding)
    assert await encodings.take(name, IDENTITY, 0) is encoding
    encodings.put_back(name, encoding)
    await encodings.close()
    await encodings.close()


def spoil(path: Path, offset: int) -> None:
    """Change one byte, as a bad disk does."""
    facts = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


async def test_a_damaged_layer_is_not_gone_on_with(archive: ArchiveIndex) -> None:
    spoil(Path(archive.path), archive.layers[0].offset + MIB)
    encoding = Encoding(opened(archive), IDENTITY)
    with pytest.raises(ProblemError) as raised:
        await taken(encoding, 0, 13 * MIB)
    assert raised.value.code == "archive.layer_corrupt"
    assert encoding.broken
    assert not encoding.reaches(0)
    await encoding.close()


async def test_a_push_that_is_cut_reads_the_layer_once(
    archive: ArchiveIndex, read: Callable[[], int], short_folder: Path
) -> None:
    payload = len(whole(archive, zstd_encoder(3)))
    async with (
        image_agent(short_folder) as agent,
        cutting_link(short_folder / "link.sock", agent.socket) as link,
    ):
        link.cuts = [payload * part // 6 for part in range(1, 6)]
        client = client_over(short_folder / "link.sock", "ssh")
        before = read()
        state = await push_over(client, archive).run()
        await client.close()
        assert (state.problem, link.cuts) == (None, [])
        assert read() - before == archive.layers[0].size_bytes
