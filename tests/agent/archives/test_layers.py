"""Layers read as streams: the right bytes, or a problem before the last of them."""

from __future__ import annotations

import tarfile
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.archives.layers import Reader, open_layer, read_layers
from agent.protocol.problems import ProblemError
from tests.archives_made import (
    COMPRESS,
    Made,
    docker_archive,
    layer,
    oci_archive,
    sha256,
)

MIB = 1024 * 1024
LAYERS = [layer("base"), layer("middle", 300_000), layer("top"), b"\0" * 1024, b""]
IMAGE = Made(LAYERS)


def everything(reader: Reader, count: int = 100_000) -> bytes:
    parts = []
    while part := reader.read(count):
        assert len(part) <= count
        parts.append(part)
    return b"".join(parts)


def indexed(path: Path, content: bytes) -> ArchiveIndex:
    path.write_bytes(content)
    return index_archive(path)


FORMS = [f"{outer}-{inner}" for outer in COMPRESS for inner in ("old", "gzip")]
FORMS += ["none-none", "none-bzip2", "none-xz", "none-zstd", "gzip-zstd"]


@pytest.fixture(params=FORMS)
def index(request: pytest.FixtureRequest, tmp_path: Path) -> ArchiveIndex:
    """Of an archive in each layout and compression."""
    outer, inner = request.param.split("-")
    content = docker_archive([IMAGE]) if inner == "old" else oci_archive([IMAGE], inner)
    return indexed(tmp_path / "image.tar", COMPRESS[outer](content))


def test_each_layer_by_itself(index: ArchiveIndex) -> None:
    for data in reversed(LAYERS):
        with open_layer(index, sha256(data)) as reader:
            assert everything(reader) == data


def test_several_in_one_pass(index: ArchiveIndex) -> None:
    wanted = {sha256(data) for data in LAYERS[:3]}
    read = [(found, everything(reader)) for found, reader in read_layers(index, wanted)]
    assert [found.offset for found, _ in read] == sorted(found.offset for found, _ in read)
    assert {found.diff_id: data for found, data in read} == {
        sha256(data): data for data in LAYERS[:3]
    }


def test_skipping(index: ArchiveIndex) -> None:
    with open_layer(index, sha256(LAYERS[1])) as reader:
        reader.skip(150_001)
        assert everything(reader) == LAYERS[1][150_001:]
        reader.skip(10)
        assert reader.read(1) == b""


def test_what_is_not_read_is_passed_over(index: ArchiveIndex) -> None:
    first: list[bytes] = []
    readers = []
    for _, reader in read_layers(index, {sha256(data) for data in LAYERS[:3]}):
        first.append(reader.read(100))
        readers.append(reader)
    assert sorted(first) == sorted(data[:100] for data in LAYERS[:3])
    with pytest.raises(ValueError, match="turn"):
        readers[0].read(1)


def test_an_unknown_layer(index: ArchiveIndex) -> None:
    with pytest.raises(ProblemError) as caught:
        open_layer(index, sha256(b"else"))
    assert caught.value.code == "archive.layer_unknown"


def test_an_archive_that_changed(index: ArchiveIndex) -> None:
    other = msgspec.structs.replace(index, modified_ns=1)
    with pytest.raises(ProblemError) as caught:
        open_layer(other, sha256(LAYERS[0]))
    assert caught.value.code == "archive.changed"


def test_an_archive_that_went_away(index: ArchiveIndex) -> None:
    Path(index.path).unlink()
    with pytest.raises(ProblemError) as caught:
        open_layer(index, sha256(LAYERS[0]))
    assert caught.value.code == "archive.unreadable"


def test_a_layout_as_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(oci_archive([IMAGE], "gzip"))
    with tarfile.open(tmp_path / "x.tar") as files:
        files.extractall(tmp_path / "layout", filter="data")
    index = index_archive(tmp_path / "layout")
    for data in LAYERS:
        with open_layer(index, sha256(data)) as reader:
            assert everything(reader) == data


@pytest.mark.parametrize("outer", COMPRESS)
def test_a_plain_layer_that_is_damaged(tmp_path: Path, outer: str) -> None:
    content = bytearray(docker_archive([IMAGE]))
    content[content.index(LAYERS[1]) + 150_000] ^= 1
    index = indexed(tmp_path / "image.tar", COMPRESS[outer](bytes(content)))
    with open_layer(index, sha256(LAYERS[1])) as reader:
        with pytest.raises(ProblemError) as caught:
            everything(reader)
        # It stays an error, however often it is asked.
        with pytest.raises(ProblemError):
            reader.read(MIB)
    assert caught.value.code == "archive.layer_corrupt"
    assert "layer.tar" in caught.value.detail
    assert reader.position == len(LAYERS[1])


def test_a_layer_never_gives_more_than_its_size(tmp_path: Path) -> None:
    """An index that was made before the archive was changed in place, unseen."""
    index = indexed(tmp_path / "image.tar", oci_archive([IMAGE], "gzip"))
    found = index.layer(sha256(LAYERS[1]))
    small = msgspec.structs.replace(found, size_bytes=5000)
    lying = msgspec.structs.replace(index, layers=[small])
    with open_layer(lying, found.diff_id) as reader, pytest.raises(ProblemError) as caught:
        everything(reader)
    assert caught.value.code == "archive.layer_corrupt"
    assert reader.position == 5000


@pytest.mark.parametrize("outer", ["none", "zstd", "gzip", "xz"])
def test_memory_is_flat(tmp_path: Path, outer: str) -> None:
    data = (b"0123456789abcdef" * 4096 + bytes(65536)) * 8 * 40
    path = tmp_path / "image.tar"
    path.write_bytes(COMPRESS[outer](oci_archive([Made([data])], "zstd")))
    diff_id, size = sha256(data), len(data)
    del data
    tracemalloc.start()
    try:
        index = index_archive(path)
        with open_layer(index, diff_id) as reader:
            read = 0
            while part := reader.read(MIB):
                read += len(part)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == size == 40 * MIB
    assert peak < 10 * MIB
