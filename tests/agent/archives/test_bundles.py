"""Bundles: made, read as archives, read whole, compared; other programs read them, too."""

from __future__ import annotations

import hashlib
import subprocess
import tracemalloc
from pathlib import Path
from random import Random

import pytest

from agent.archives import bundle_writing
from agent.archives.bundle_frames import FRAME_BYTES
from agent.archives.bundle_manifest import Base
from agent.archives.bundle_planning import compare, plan_bundle
from agent.archives.bundle_reading import is_bundle, read_bundle
from agent.archives.bundle_verifying import verify_bundle
from agent.archives.bundle_writing import write_bundle
from agent.archives.cache import IndexCache
from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.archives.layers import open_layer, read_layers
from agent.protocol.problems import ProblemError
from agent.signatures.public_keys import parse_public_key, signs
from agent.signatures.signing_keys import make_key
from tests.archives_made import COMPRESS, Made, docker_archive, layer, oci_archive, sha256, tar
from tests.bundles_made import make_bundle, manifest_of

BASE = layer("base", 200_000)
ONE = Made([BASE, layer("one")], tags=["one:1"])
TWO = Made([BASE, layer("two")], tags=["two:1", "two:latest"])
ARM = Made([layer("arm")], tags=["one:1"], architecture="arm64")


def content_of(index: ArchiveIndex) -> dict[str, bytes]:
    """All layers, read one by one."""
    found = {}
    for each in index.layers:
        with open_layer(index, each.diff_id) as reader:
            parts = []
            while piece := reader.read(70_000):
                parts.append(piece)
            found[each.diff_id] = b"".join(parts)
    return found


def test_a_bundle_is_an_archive(tmp_path: Path) -> None:
    index = index_archive(make_bundle(tmp_path, [ONE, TWO, ARM]))
    assert content_of(index) == {
        sha256(data): data for image in (ONE, TWO, ARM) for data in image.layers
    }
    assert [image.tags for image in index.images[:2]] == [["one:1"], ["two:1", "two:latest"]]
    wanted = {sha256(BASE), sha256(TWO.layers[1])}
    assert {each.diff_id for each, _ in read_layers(index, wanted)} == wanted


def test_each_node_takes_its_platform(tmp_path: Path) -> None:
    index = index_archive(make_bundle(tmp_path, [ONE, ARM]))
    for wanted in (ONE, ARM):
        (found,) = index.for_platform("linux", wanted.architecture)
        assert (found.config, found.diff_ids) == (wanted.config, wanted.diff_ids)


def test_it_is_kept_in_the_cache(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", name="maria")
    bundle = make_bundle(tmp_path, [ONE], sign=key.sign)
    cache = IndexCache(tmp_path / "cache")
    index = cache.index(bundle)
    assert cache.kept(bundle) == index == index_archive(bundle)
    (signed,) = index.signed
    assert signs(parse_public_key(signed.key), signed.manifest, signed.signature)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_it_is_made_from_any_archive(tmp_path: Path, compression: str) -> None:
    archives = [tmp_path / "old.tar", tmp_path / "oci.tar"]
    archives[0].write_bytes(COMPRESS[compression](docker_archive([ONE])))
    archives[1].write_bytes(oci_archive([TWO, ARM], "gzip"))
    indexes = [index_archive(path) for path in archives]
    plan = plan_bundle(indexes, since=None, created_at=1.0)
    write_bundle(tmp_path / "out", plan, sign=None)
    bundle = verify_bundle(tmp_path / "out")
    assert len(bundle.index.layers) == len(content_of(bundle.index)) == 4
    # Two platforms of one name are one image, of which each node takes its own.
    assert [image.entry for image in bundle.index.images] == [0, 1, 0]
    # A bundle of bundles is the same one.
    again = plan_bundle([bundle.index], since=None, created_at=1.0)
    assert again.manifest == plan.manifest


def test_other_programs_read_it(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, [ONE, TWO])
    into = tmp_path / "out"
    into.mkdir()
    subprocess.run(["tar", "-I", "zstd", "-xf", bundle, "-C", into], check=True)
    for entry in read_bundle(bundle).manifest.entries:
        data = (into / entry.name).read_bytes()
        assert (sha256(data), len(data)) == (entry.sha256, entry.size_bytes)


def test_layers_larger_than_a_frame_and_empty_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FRAME_BYTES == 64 * 1024 * 1024
    monkeypatch.setattr(bundle_writing, "FRAME_BYTES", 30_000)
    empty = Made([b"", BASE], tags=["empty:1"])
    bundle = verify_bundle(make_bundle(tmp_path, [empty]))
    assert max(frame.decompressed for frame in bundle.table.frames) == 30_000
    assert content_of(bundle.index) == {sha256(b""): b"", sha256(BASE): BASE}


def test_memory_stays_flat(tmp_path: Path) -> None:
    large = Made([tar({"large": Random(1).randbytes(16_000_000)})])
    archive = tmp_path / "large.tar"
    archive.write_bytes(docker_archive([large]))
    plan = plan_bundle([index_archive(archive)], since=None, created_at=1.0)
    tracemalloc.start()
    try:
        write_bundle(tmp_path / "out", plan, sign=None)
        index = verify_bundle(tmp_path / "out").index
        with open_layer(index, large.diff_ids[0]) as reader:
            while reader.read(1 << 20):
                pass
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


def test_since_another_only_what_that_lacks(tmp_path: Path) -> None:
    old = make_bundle(tmp_path, [ONE], name="old.bundle")
    new = verify_bundle(make_bundle(tmp_path, [ONE, TWO], name="new.bundle", since=old))
    assert [each.diff_id for each in new.index.layers] == [sha256(TWO.layers[1])]
    assert new.manifest.since == Base(id=read_bundle(old).id, name="old.bundle")
    assert {each.diff_id: each.size_bytes for each in new.index.elsewhere} == {
        sha256(BASE): len(BASE),
        sha256(ONE.layers[1]): len(ONE.layers[1]),
    }
    content = new.index.content(new.index.images[1])
    assert [each.size_bytes for each in content.layers] == [len(BASE), len(TWO.layers[1])]
    with pytest.raises(ProblemError) as caught:
        plan_bundle([new.index], since=None, created_at=1.0)
    assert caught.value.code == "bundle.needs"
    both = plan_bundle([new.index, index_archive(old)], since=None, created_at=1.0)
    assert both.manifest.needs == []


def test_since_chains(tmp_path: Path) -> None:
    """What the old bundle itself leaves to another is there, too, where the old one is."""
    three = Made([BASE, TWO.layers[1], layer("three")], tags=["three:1"])
    first = make_bundle(tmp_path, [ONE], name="1")
    second = make_bundle(tmp_path, [ONE, TWO], name="2", since=first)
    third = read_bundle(make_bundle(tmp_path, [three], name="3", since=second))
    assert [each.diff_id for each in third.index.layers] == [sha256(three.layers[2])]


def test_what_two_bundles_differ_in() -> None:
    changed = Made([BASE, layer("changed")], tags=["one:1"])
    old, new = manifest_of([ONE, TWO]), manifest_of([changed, TWO, ARM])
    arm = len(ARM.layers[0])
    assert [tuple(each) for each in compare(old, new)] == [
        ("one:1", "changed", "linux/amd64", len(changed.layers[1])),
        ("two:1", "same", "linux/amd64", 0),
        ("two:latest", "same", "linux/amd64", 0),
        ("one:1", "added", "linux/arm64", arm),
    ]
    assert compare(new, old)[-1].change == "removed"


def test_one_name_for_two_images_is_refused(tmp_path: Path) -> None:
    other = Made([layer("other")], tags=["one:1"])
    archive = tmp_path / "both.tar"
    archive.write_bytes(docker_archive([ONE, other]))
    with pytest.raises(ProblemError) as caught:
        plan_bundle([index_archive(archive)], since=None, created_at=1.0)
    assert caught.value.code == "archive.tag_twice"


def test_a_damaged_source_leaves_what_was_there(tmp_path: Path) -> None:
    archive = tmp_path / "bad.tar"
    data = bytearray(docker_archive([ONE]))
    place = data.index(BASE) + 1000
    data[place] ^= 1
    archive.write_bytes(data)
    (tmp_path / "out").write_bytes(b"before")
    plan = plan_bundle([index_archive(archive)], since=None, created_at=1.0)
    with pytest.raises(ProblemError) as caught:
        write_bundle(tmp_path / "out", plan, sign=None)
    assert caught.value.code == "archive.layer_corrupt"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar", "out"]
    assert (tmp_path / "out").read_bytes() == b"before"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    archive = tmp_path / "one.tar"
    archive.write_bytes(docker_archive([ONE]))
    plan = plan_bundle([index_archive(archive)], since=None, created_at=1.0)
    with pytest.raises(ProblemError) as caught:
        write_bundle(tmp_path / "none" / "out", plan, sign=None)
    assert (caught.value.code, bool(caught.value.hint)) == ("bundle.unwritable", True)


def test_what_is_no_bundle(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for content in (
        b"",
        b"x" * 1000,
        docker_archive([ONE]),
        COMPRESS["zstd"](docker_archive([ONE])),
    ):
        file.write_bytes(content)
        assert not is_bundle(file)
    assert not is_bundle(tmp_path)


def test_the_signature_is_over_the_bytes_that_lie_there(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", name="maria")
    path = make_bundle(tmp_path, [ONE], sign=key.sign)
    bundle = verify_bundle(path)
    assert bundle.signed is not None
    assert bundle.signed.manifest == bundle.head[0]
    assert bundle.id == f"sha256:{hashlib.sha256(bundle.head[0]).hexdigest()}"
    assert parse_public_key(bundle.signed.key) == key.public
