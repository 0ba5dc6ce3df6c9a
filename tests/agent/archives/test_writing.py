"""Archives for a runtime's load: what is in them, and how long they are."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from agent.archives.indexing import index_archive
from agent.archives.layers import open_layer
from agent.archives.writing import END, archive_size, file_header, write_docker_archive
from agent.protocol.images import ImageContent, Layer
from agent.protocol.problems import ProblemError
from tests.archives_made import Made, layer, oci_archive, sha256

TAG = "roost.local/staging:4711"
LAYERS = [layer("base"), layer("same", 512), layer("app", 2_000_000), layer("same", 512), b""]
IMAGE = Made(LAYERS)
CONTENT = ImageContent(
    config=IMAGE.config,
    layers=[Layer(diff_id=sha256(data), size_bytes=len(data)) for data in LAYERS],
    tags=["made:1"],
)


def opened(diff_id: str) -> io.BytesIO:
    return io.BytesIO(next(data for data in LAYERS if sha256(data) == diff_id))


def written(left_out: set[int]) -> bytes:
    pieces = list(write_docker_archive(CONTENT, opened, left_out=left_out, tag=TAG))
    assert max(map(len, pieces)) <= 1024 * 1024
    archive = b"".join(pieces)
    assert len(archive) == archive_size(CONTENT, left_out=left_out, tag=TAG)
    return archive


def members(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        assert {info.mtime for info in files} == {0}
        found = {info.name: files.extractfile(info) for info in files}
        return {name: file.read() for name, file in found.items() if file is not None}


@pytest.mark.parametrize("left_out", [set(), {0}, {0, 1, 2}, {1}, {0, 1, 2, 3, 4}])
def test_members_and_size(left_out: set[int]) -> None:
    found = members(written(left_out))
    manifest = json.loads(found.pop("manifest.json"))
    assert len(manifest) == 1
    assert manifest[0]["RepoTags"] == [TAG]
    assert found.pop(manifest[0]["Config"]) == IMAGE.config
    names = manifest[0]["Layers"]
    assert len(names) == len(LAYERS)
    kept = {position for position in range(len(LAYERS)) if position not in left_out}
    assert found == {names[position]: LAYERS[position] for position in kept}


def test_the_same_bytes_each_time() -> None:
    assert written({0}) == written({0})


def test_it_is_an_archive_that_we_read(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(written(set()))
    index = index_archive(path)
    assert index.images[0].config == IMAGE.config
    assert index.images[0].tags == [TAG]
    for data in LAYERS:
        with open_layer(index, sha256(data)) as reader:
            assert reader.read(100) == data[:100]


def test_from_an_archive_to_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(oci_archive([IMAGE], "gzip"))
    index = index_archive(path)
    content = index.content(index.images[0])
    pieces = write_docker_archive(content, lambda name: open_layer(index, name), tag=TAG)
    assert b"".join(pieces) == written(set())


@pytest.mark.parametrize("change", [b"", LAYERS[2] + b"x", LAYERS[2][:-1]])
def test_a_layer_of_another_size(change: bytes) -> None:
    def other(diff_id: str) -> io.BytesIO:
        return io.BytesIO(change) if diff_id == sha256(LAYERS[2]) else opened(diff_id)

    with pytest.raises(ProblemError) as caught:
        list(write_docker_archive(CONTENT, other, tag=TAG))
    assert caught.value.code == "archive.layer_corrupt"


@pytest.mark.parametrize("size", [0, 8 * 1024**3 - 1, 8 * 1024**3, 10 * 1024**3])
def test_headers_of_large_files(size: int) -> None:
    header = tarfile.TarInfo.frombuf(file_header("a/layer.tar", size), "utf-8", "strict")
    assert (header.name, header.size, header.mode, header.mtime) == ("a/layer.tar", size, 0o644, 0)


def test_the_end_of_an_archive() -> None:
    assert written(set()).endswith(END)
