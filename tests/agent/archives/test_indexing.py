"""What an index says of archives that are as they should be."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.protocol.problems import ProblemError
from tests.archives_made import (
    COMPRESS,
    Made,
    OciLayout,
    as_json,
    docker_archive,
    docker_entries,
    layer,
    oci_archive,
    sha256,
    tar,
)

ONE = Made([layer("base"), layer("app", 9000)], tags=["made:1", "made:latest"])
TWO = Made([layer("base"), layer("other")], tags=["registry.example:5000/two/other:2"])
ARM = Made([layer("arm")], architecture="arm64")
ARMV7 = Made([layer("armv7")], architecture="arm", variant="v7")

Write = Callable[[bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes an archive's file."""

    def written(content: bytes) -> Path:
        path = tmp_path / "image.tar"
        path.write_bytes(content)
        return path

    return written


def sizes(index: ArchiveIndex) -> dict[str, int]:
    return {found.diff_id: found.size_bytes for found in index.layers}


def expected(*images: Made) -> dict[str, int]:
    return {sha256(data): len(data) for image in images for data in image.layers}


@pytest.mark.parametrize("outer", COMPRESS)
def test_the_old_layout(write: Write, outer: str) -> None:
    index = index_archive(write(COMPRESS[outer](docker_archive([ONE, TWO]))))
    assert index.compression == outer
    assert [image.tags for image in index.images] == [list(ONE.tags), list(TWO.tags)]
    assert [image.config for image in index.images] == [ONE.config, TWO.config]
    assert [image.config_digest for image in index.images] == [
        sha256(ONE.config),
        sha256(TWO.config),
    ]
    assert [image.diff_ids for image in index.images] == [ONE.diff_ids, TWO.diff_ids]
    assert sizes(index) == expected(ONE, TWO)
    assert {str(image.platform) for image in index.images} == {"linux/amd64"}


@pytest.mark.parametrize("outer", COMPRESS)
@pytest.mark.parametrize("inner", COMPRESS)
@pytest.mark.parametrize("docker", [True, False])
def test_the_oci_layout(write: Write, outer: str, inner: str, *, docker: bool) -> None:
    content = oci_archive([ONE, TWO], inner, docker=docker)
    index = index_archive(write(COMPRESS[outer](content)))
    assert [image.tags[0] for image in index.images] == [ONE.tags[0], TWO.tags[0]]
    assert len(index.images[0].tags) == (2 if docker else 1)
    assert [image.config for image in index.images] == [ONE.config, TWO.config]
    assert sizes(index) == expected(ONE, TWO)
    assert {found.compression for found in index.layers} == {inner}
    assert all(image.manifest_digest is not None for image in index.images)


def test_the_place_of_a_layer_is_that_in_the_tar(write: Write) -> None:
    content = docker_archive([ONE])
    index = index_archive(write(content))
    for found, data in zip(index.layers, ONE.layers, strict=True):
        assert content[found.offset : found.offset + found.stored_bytes] == data
        assert found.diff_id == sha256(data)


def test_a_layout_as_a_folder(tmp_path: Path) -> None:
    archive = io.BytesIO(oci_archive([ONE], "gzip"))
    with tarfile.open(fileobj=archive) as files:
        files.extractall(tmp_path / "layout", filter="data")
    index = index_archive(tmp_path / "layout")
    assert sizes(index) == expected(ONE)
    assert index.images[0].config == ONE.config


def test_a_layer_that_comes_twice_in_an_image_is_there_once(write: Write) -> None:
    image = Made([layer("base"), layer("same"), layer("app"), layer("same")])
    index = index_archive(write(docker_archive([image])))
    assert index.images[0].diff_ids == image.diff_ids
    assert len(index.layers) == 3


def test_hard_links_are_followed(write: Write) -> None:
    entries = docker_entries([ONE, TWO])
    for entry in entries:
        if entry.kind == tarfile.SYMTYPE:
            entry.kind, entry.target = tarfile.LNKTYPE, entry.target.removeprefix("../")
    assert any(entry.kind == tarfile.LNKTYPE for entry in entries)
    assert sizes(index_archive(write(tar(entries)))) == expected(ONE, TWO)


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names(write: Write, kind: int) -> None:
    entries = docker_entries([ONE])
    long = "a-long-folder/" * 30
    for entry in entries:
        entry.name = entry.name.replace("VERSION", f"{long}VERSION")
    assert sizes(index_archive(write(tar(entries, kind)))) == expected(ONE)


def test_only_headers_of_a_plain_archive_are_read(tmp_path: Path) -> None:
    """A layer that is a hole of 1 TiB: nobody reads that within the test's time."""
    big = 1024**4
    entries = docker_entries([Made([b""])])
    place = next(number for number, entry in enumerate(entries) if "layer.tar" in entry.name)
    header = tarfile.TarInfo(entries[place].name)
    header.size = big
    path = tmp_path / "sparse.tar"
    with path.open("wb") as file:
        before = tar(entries[:place]).rstrip(b"\0")
        file.write(before + b"\0" * (-len(before) % 512))
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.seek(big, io.SEEK_CUR)
        file.write(tar(entries[place + 1 :]))
    assert index_archive(path).layers[0].size_bytes == big


def test_a_tag_may_be_missing(write: Write) -> None:
    index = index_archive(write(docker_archive([Made([layer("base")], tags=[])])))
    assert index.images[0].tags == []


def test_platforms_attestations_and_nested_indexes(write: Write) -> None:
    layout = OciLayout("gzip")
    children = [layout.image(image) for image in (ONE, ARM)]
    nested = layout.index([*children, layout.attestation(children[0]["digest"])])
    layout.add(layout.index([nested, layout.image(ARMV7)]), "docker.io/library/multi:1")
    index = index_archive(write(tar(layout.files())))
    platforms = {str(image.platform): image.tags for image in index.images}
    assert platforms == {
        "linux/amd64": ["multi:1"],
        "linux/arm64": ["multi:1"],
        "linux/arm/v7": ["multi:1"],
    }
    assert [image.config for image in index.for_platform("linux", "arm64")] == [ARM.config]
    assert [image.config for image in index.for_platform("linux", "arm")] == [ARMV7.config]
    assert [image.config for image in index.for_platform("linux", "x86_64")] == [ONE.config]
    with pytest.raises(ProblemError) as caught:
        index.for_platform("linux", "riscv64")
    assert caught.value.code == "archive.platform"
    assert "multi:1 is for linux/amd64, linux/arm64, linux/arm/v7" in caught.value.detail


def test_a_platform_that_was_not_saved_is_passed_over(write: Write) -> None:
    layout = OciLayout("none")
    children = [layout.image(ONE), layout.image(ARM)]
    layout.add(layout.index(children), "docker.io/library/multi:1")
    files = layout.files()
    del files[f"blobs/{children[1]['digest'].replace(':', '/')}"]
    index = index_archive(write(tar(files)))
    assert [str(image.platform) for image in index.images] == ["linux/amd64"]


def test_an_image_that_does_not_say_for_what_it_is(write: Write) -> None:
    silent = Made([layer("base")], os="", architecture="")
    index = index_archive(write(docker_archive([silent])))
    assert [image.config for image in index.for_platform("linux", "arm64")] == [silent.config]


@pytest.mark.parametrize("inner", ["gzip", "zstd"])
def test_compressed_layers_in_a_docker_archive(write: Write, inner: str) -> None:
    """As crane and kaniko write it: `sha256:...` for the config, layers as they were pulled."""
    blobs = {f"{sha256(data)[7:]}.tar.gz": COMPRESS[inner](data) for data in ONE.layers}
    manifest = {"Config": sha256(ONE.config), "RepoTags": ["made:1"], "Layers": list(blobs)}
    files = {sha256(ONE.config): ONE.config, **blobs, "manifest.json": as_json([manifest])}
    index = index_archive(write(tar(files)))
    assert sizes(index) == expected(ONE)
    assert index.images[0].manifest_digest is None


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("docker.io/library/made:1", ["made:1"]),
        ("docker.io/team/made:1", ["team/made:1"]),
        ("docker.io/localhost/made:1", ["docker.io/localhost/made:1"]),
        ("localhost/made:1", ["localhost/made:1"]),
        (
            "registry.example:5000/team/made:1.0-rc.2_x",
            ["registry.example:5000/team/made:1.0-rc.2_x"],
        ),
        ("made:1", ["made:1"]),
        ("1", []),
        ("docker.io/library/made", []),
        (f"docker.io/library/made@{sha256(b'')}", []),
        ("What ever: you like", []),
    ],
)
def test_names_in_an_oci_layout(write: Write, name: str, tags: list[str]) -> None:
    layout = OciLayout("none")
    layout.add(layout.image(ONE), name)
    assert index_archive(write(tar(layout.files()))).images[0].tags == tags


def test_one_image_under_two_entries(write: Write) -> None:
    layout = OciLayout("gzip")
    one = layout.image(ONE)
    layout.add(layout.index([one, layout.image(ARM)]), "docker.io/library/multi:1")
    layout.add(one, "docker.io/library/single:1")
    index = index_archive(write(tar(layout.files())))
    chosen = index.for_platform("linux", "amd64")
    assert [(image.config, image.tags) for image in chosen] == [
        (ONE.config, ["multi:1", "single:1"])
    ]


def test_the_content_that_an_agent_is_asked_for(write: Write) -> None:
    index = index_archive(write(docker_archive([ONE])))
    content = index.content(index.images[0])
    assert content.config == ONE.config
    assert [(found.diff_id, found.size_bytes) for found in content.layers] == [
        (sha256(data), len(data)) for data in ONE.layers
    ]
    assert content.tags == list(ONE.tags)


def test_progress_is_told_and_may_end_it(write: Write) -> None:
    path = write(COMPRESS["gzip"](docker_archive([ONE])))
    heard: list[tuple[int, int]] = []
    index_archive(path, heard=lambda done, total: heard.append((done, total)))
    assert heard[-1] == (path.stat().st_size, path.stat().st_size)

    class Enough(Exception):  # noqa: N818 - the caller's own
        pass

    def stop(done: int, total: int) -> None:
        raise Enough

    with pytest.raises(Enough):
        index_archive(path, heard=stop)
