"""Bundles in several files: read as if they were one; what is missing or changed is named."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from agent.archives import bundle_part_writing
from agent.archives.bundle_parts import facts_of, opened_whole, read_parts
from agent.archives.bundle_planning import plan_bundle
from agent.archives.bundle_reading import is_bundle, read_bundle
from agent.archives.bundle_verifying import verify_bundle
from agent.archives.bundle_writing import write_bundle
from agent.archives.cache import IndexCache
from agent.archives.indexing import index_archive
from agent.archives.layers import open_layer
from agent.protocol.problems import ProblemError
from tests.archives_made import Made, docker_archive, layer, tar
from tests.bundles_made import make_bundle

ONE = Made([layer("base", 60_000), layer("one", 20_000)], tags=["one:1"])
FILES = {"model/detector.onnx": os.urandom(30_000)}
PART_BYTES = 10_000


@pytest.fixture
def split(tmp_path: Path) -> Path:
    return make_bundle(tmp_path, [ONE], files=FILES, name="out.bundle", part_bytes=PART_BYTES)


def parts_of(path: Path) -> list[Path]:
    found = read_parts(path)
    assert found is not None
    return [path.with_name(part.name) for part in found.parts]


def code_and_detail(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(ProblemError) as caught:
        call()
    assert caught.value.hint
    return caught.value.code, caught.value.detail


def test_it_is_the_same_bundle(split: Path, tmp_path: Path) -> None:
    whole = make_bundle(tmp_path, [ONE], files=FILES, name="whole.bundle")
    parts = parts_of(split)
    assert [path.name for path in parts][:2] == ["out.bundle.001", "out.bundle.002"]
    assert {path.stat().st_size for path in parts[:-1]} == {PART_BYTES}
    assert b"".join(path.read_bytes() for path in parts) == whole.read_bytes()
    one, other = verify_bundle(whole), verify_bundle(split)
    assert (one.id, one.index.layers) == (other.id, other.index.layers)
    assert other.index.size_bytes == whole.stat().st_size
    for each in other.index.layers:
        with open_layer(other.index, each.diff_id) as reader:
            reader.skip(each.size_bytes)
    # Another bundle may be made of it, or since it.
    again = plan_bundle([other.index], since=None, created_at=1.7e9)
    assert again.manifest == one.manifest
    since = make_bundle(tmp_path, [ONE], files=FILES, name="since.bundle", since=split)
    assert [each.kind for each in read_bundle(since).manifest.entries] == ["config"]


def test_it_is_read_anywhere(split: Path) -> None:
    content = b"".join(path.read_bytes() for path in parts_of(split))
    with opened_whole(split) as (file, facts):
        assert facts.size_bytes == len(content)
        for place in (0, 1, PART_BYTES - 1, PART_BYTES, 3 * PART_BYTES + 7, len(content) - 1):
            file.seek(place)
            assert file.read(2 * PART_BYTES) == content[place : place + 2 * PART_BYTES]
        assert file.read(1) == b""
        assert file.seek(-4, os.SEEK_END) == len(content) - 4
        assert file.read() == content[-4:]


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_part_that_is_missing(split: Path, number: int) -> None:
    part = parts_of(split)[number]
    part.rename(part.with_name("elsewhere"))
    for call in (read_bundle, index_archive, verify_bundle):
        code, detail = code_and_detail(partial(call, split))
        assert (code, part.name in detail) == ("bundle.part_missing", True)


def test_a_part_that_was_cut(split: Path) -> None:
    part = parts_of(split)[1]
    os.truncate(part, PART_BYTES - 1)
    for call in (read_bundle, index_archive, verify_bundle):
        code, detail = code_and_detail(partial(call, split))
        assert (code, part.name in detail) == ("bundle.part_changed", True)


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_part_that_was_changed(split: Path, number: int) -> None:
    part = parts_of(split)[number]
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    index = index_archive(split)
    part.write_bytes(data)
    code, detail = code_and_detail(lambda: verify_bundle(split))
    assert (code, part.name in detail) == ("bundle.part_changed", True)
    # Whoever began with it as it was is told that it changed.
    assert code_and_detail(lambda: open_layer(index, index.layers[0].diff_id))[0] in (
        "archive.changed",
        "bundle.part_changed",
    )


def test_a_layer_that_is_damaged_says_in_which_parts(split: Path) -> None:
    part = parts_of(split)[2]
    data = bytearray(part.read_bytes())
    data[100] ^= 1
    part.write_bytes(data)
    index = index_archive(split)
    failed: list[ProblemError] = []
    for each in index.layers:
        with open_layer(index, each.diff_id) as reader:
            try:
                reader.skip(each.size_bytes)
            except ProblemError as problem:
                failed.append(problem)
    [found] = failed
    assert (found.code, part.name in found.detail) == ("archive.layer_corrupt", True)


def test_who_names_a_part(split: Path, tmp_path: Path) -> None:
    for part in parts_of(split)[:2]:
        code, detail = code_and_detail(partial(index_archive, part))
        assert (code, "one part of out.bundle" in detail) == ("bundle.unknown", True)
    split.unlink()
    part = tmp_path / "out.bundle.001"
    code, detail = code_and_detail(lambda: read_bundle(part))
    assert (code, "out.bundle" in detail) == ("bundle.part_missing", True)
    # Other files may end so.
    archive = tmp_path / "app.001"
    archive.write_bytes(docker_archive([ONE]))
    assert index_archive(archive).images[0].tags == ["one:1"]


@pytest.mark.parametrize(
    "words",
    [
        "{",
        {"parts": []},
        {"parts": [{"name": "../x", "size_bytes": 1, "sha256": "sha256:" + "0" * 64}]},
        {"parts": [{"name": "x", "size_bytes": 0, "sha256": "sha256:" + "0" * 64}]},
        {"parts": [{"name": "x", "size_bytes": 1, "sha256": "none"}]},
        {"parts": [{"name": "x", "size_bytes": 1, "sha256": "sha256:" + "0" * 64}] * 2},
    ],
)
def test_lists_that_are_none(tmp_path: Path, words: object) -> None:
    path = tmp_path / "x.bundle"
    text = words if isinstance(words, str) else json.dumps(words, separators=(",", ":"))[1:]
    path.write_text('{"roost_bundle_parts":1,' + text)
    assert code_and_detail(lambda: index_archive(path))[0] == "bundle.manifest"


def test_a_list_of_a_later_kind(tmp_path: Path) -> None:
    path = tmp_path / "x.bundle"
    path.write_text('{"roost_bundle_parts":2,"disks":"as nobody knows yet"}')
    assert code_and_detail(lambda: index_archive(path))[0] == "bundle.newer"


def test_the_cache_sees_that_a_part_changed(split: Path, tmp_path: Path) -> None:
    cache = IndexCache(tmp_path / "cache")
    index = cache.index(split)
    assert cache.kept(split) == index
    part = parts_of(split)[1]
    os.utime(part, ns=(1, index.modified_ns + 1_000_000))
    assert cache.kept(split) is None


def test_fewer_parts_leave_none_of_those_before(split: Path, tmp_path: Path) -> None:
    before = len(parts_of(split))
    make_bundle(tmp_path, [ONE], name="out.bundle", part_bytes=PART_BYTES)
    now = parts_of(split)
    assert 1 < len(now) < before
    assert sorted(tmp_path.glob("out.bundle.0*")) == now
    make_bundle(tmp_path, [ONE], name="out.bundle")
    assert list(tmp_path.glob("out.bundle.0*")) == []
    assert is_bundle(split)


def test_what_fails_leaves_the_bundle_before(
    split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full at the third part."""
    synced = 0

    def sync(file: BinaryIO) -> None:
        nonlocal synced
        synced += 1
        if synced == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(bundle_part_writing, "sync", sync)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("out.bundle*")}
    archive = tmp_path / "other.tar"
    archive.write_bytes(docker_archive([Made([tar({"x": os.urandom(90_000)})])]))
    plan = plan_bundle([index_archive(archive)], since=None, created_at=1.0)
    code, _ = code_and_detail(lambda: write_bundle(split, plan, sign=None, part_bytes=PART_BYTES))
    assert code == "bundle.unwritable"
    left = {path.name: path.read_bytes() for path in tmp_path.glob("out.bundle*")}
    assert left == before
    assert list(tmp_path.glob(".*")) == []
    assert facts_of(split).size_bytes > 3 * PART_BYTES


def test_too_many_parts(tmp_path: Path) -> None:
    archive = tmp_path / "one.tar"
    archive.write_bytes(docker_archive([ONE]))
    plan = plan_bundle([index_archive(archive)], since=None, created_at=1.0)
    code, detail = code_and_detail(
        lambda: write_bundle(tmp_path / "out", plan, sign=None, part_bytes=50)
    )
    assert (code, "500 parts" in detail) == ("bundle.unwritable", True)
    assert [path.name for path in tmp_path.iterdir()] == ["one.tar"]
