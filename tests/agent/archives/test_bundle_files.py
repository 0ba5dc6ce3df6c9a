"""Models and release files in bundles: carried, left to an older bundle, merged, refused."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.archives.bundle_planning import compare, plan_bundle
from agent.archives.bundle_reading import read_bundle
from agent.archives.bundle_verifying import verify_bundle
from agent.archives.bundle_writing import write_bundle
from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.archives.layers import open_layer
from agent.protocol.node_files import NAME_LIMIT, checked_name
from agent.protocol.problems import ProblemError
from tests.archives_made import Made, layer, sha256
from tests.bundles_made import entries_of, loose, make_bundle, manifest_of, packed

ONE = Made([layer("base"), layer("one")], tags=["one:1"])
MODEL, APP = b"weights" * 30_000, b"services: {}"
FILES = {"model/plant/detector.onnx": MODEL, "release/plant/app.yaml": APP}


def read(index: ArchiveIndex, digest: str) -> bytes:
    parts = []
    with open_layer(index, digest) as reader:
        while piece := reader.read(70_000):
            parts.append(piece)
    return b"".join(parts)


def test_files_lie_in_it_under_their_names(tmp_path: Path) -> None:
    path = make_bundle(tmp_path, [ONE], files=FILES)
    bundle = verify_bundle(path)
    assert [each.title for each in bundle.index.files] == [
        "model plant/detector.onnx",
        "release plant/app.yaml",
    ]
    assert read(bundle.index, sha256(MODEL)) == MODEL
    assert read(bundle.index, sha256(APP)) == APP
    into = tmp_path / "out"
    into.mkdir()
    subprocess.run(["tar", "-I", "zstd", "-xf", path, "-C", into], check=True)
    assert (into / "models" / "plant" / "detector.onnx").read_bytes() == MODEL
    assert (into / "releases" / "plant" / "app.yaml").read_bytes() == APP
    # A bundle of bundles is the same one.
    again = plan_bundle([bundle.index], since=None, created_at=1.7e9)
    assert again.manifest == bundle.manifest


def test_since_leaves_what_the_old_one_has(tmp_path: Path) -> None:
    old = make_bundle(tmp_path, [ONE], files=FILES, name="old.bundle")
    changed = {**FILES, "release/plant/app.yaml": b"services: {app: {}}"}
    path = make_bundle(tmp_path, [ONE], files=changed, name="new.bundle", since=old)
    new = verify_bundle(path)
    assert [each.kind for each in new.manifest.entries] == ["config", "release"]
    assert {each.diff_id for each in new.index.elsewhere} == {*ONE.diff_ids, sha256(MODEL)}
    differences = compare(read_bundle(old).manifest, new.manifest)
    assert [(each.name, each.change, each.new_bytes) for each in differences] == [
        ("one:1", "same", 0),
        ("model plant/detector.onnx", "same", 0),
        ("release plant/app.yaml", "changed", len(b"services: {app: {}}")),
    ]
    with pytest.raises(ProblemError) as caught:
        plan_bundle([new.index], since=None, created_at=1.0)
    assert caught.value.code == "bundle.needs"
    # Both in one: where they differ, the later one has the word, in whichever order they come.
    for both in ([index_archive(old), new.index], [new.index, index_archive(old)]):
        whole = plan_bundle(both, since=None, created_at=1.0).manifest
        assert {file.name: file.sha256 for file in whole.files} == {
            "plant/detector.onnx": sha256(MODEL),
            "plant/app.yaml": sha256(b"services: {app: {}}"),
        }


def test_one_content_under_two_names_is_in_it_once(tmp_path: Path) -> None:
    files = {"model/a.onnx": MODEL, "model/b.onnx": MODEL}
    bundle = verify_bundle(make_bundle(tmp_path, [], files=files))
    assert [each.name for each in bundle.manifest.entries] == ["models/a.onnx"]
    assert [each.name for each in bundle.index.files] == ["a.onnx", "b.onnx"]


def test_two_files_for_one_place(tmp_path: Path) -> None:
    one = make_bundle(tmp_path, [], files={"model/a": b"1"}, name="1")
    other = make_bundle(tmp_path, [], files={"model/a": b"2"}, name="2")
    below = make_bundle(tmp_path, [], files={"model/a/b": b"3"}, name="3")
    for paths in ((one, other), (one, below)):
        with pytest.raises(ProblemError) as caught:
            plan_bundle([index_archive(path) for path in paths], since=None, created_at=1.0)
        assert (caught.value.code, bool(caught.value.hint)) == ("file.clash", True)
    files = [loose(tmp_path, "model/a", b"4")]
    with pytest.raises(ProblemError) as caught:
        plan_bundle([index_archive(one)], files, since=None, created_at=1.0)
    assert caught.value.code == "file.clash"


def test_a_file_that_changes_meanwhile(tmp_path: Path) -> None:
    for other in (b"WEIGHTS" * 30_000, MODEL[:-1], MODEL + b"x"):
        file = loose(tmp_path, "model/a.onnx", MODEL)
        plan = plan_bundle([], [file], since=None, created_at=1.0)
        file.path.write_bytes(other)
        with pytest.raises(ProblemError) as caught:
            write_bundle(tmp_path / "out", plan, sign=None)
        assert caught.value.code == "archive.changed"
        assert not (tmp_path / "out").exists()


def words(**changes: object) -> dict[str, Any]:
    """A manifest with one model, whose record is changed."""
    said: dict[str, Any] = msgspec.to_builtins(manifest_of([ONE], {"model/a.onnx": MODEL}))
    said["files"][0].update(changes)
    return said


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../a.onnx"},
        {"name": "/etc/passwd"},
        {"name": ".ssh/authorized_keys"},
        {"name": "a\n"},
        {"name": "x" * (NAME_LIMIT + 1)},
        {"size_bytes": -1},
        {"size_bytes": 7},
        {"sha256": "sha256:" + "0" * 64},
    ],
)
def test_manifests_that_lie(tmp_path: Path, changes: dict[str, object]) -> None:
    path = tmp_path / "bad.bundle"
    path.write_bytes(packed(words(**changes), entries_of([ONE], {"model/a.onnx": MODEL})))
    with pytest.raises(ProblemError) as caught:
        read_bundle(path)
    assert (caught.value.code, bool(caught.value.hint)) == ("bundle.manifest", True)


def test_two_entries_of_one_content(tmp_path: Path) -> None:
    said = words()
    said["entries"].append({**said["entries"][-1], "name": "model/b.onnx"})
    path = tmp_path / "bad.bundle"
    path.write_bytes(packed(said, entries_of([ONE], {"model/a.onnx": MODEL})))
    with pytest.raises(ProblemError) as caught:
        read_bundle(path)
    assert caught.value.code == "archive.duplicate"


def test_names_that_files_can_have() -> None:
    for good in ("a", "A_1.onnx", "plant-7/detector@2+x=1.onnx"):
        assert checked_name(good, where="here") == good
    for bad in ("", "a/", "/a", "a//b", "a b", "-a", ".a", "a/../b", "a\n", "ä"):
        with pytest.raises(ProblemError) as caught:
            checked_name(bad, where="here")
        assert caught.value.code == "file.name"
