"""Bundles with chance damage: a problem, or what was put in; never anything else."""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archives.bundle_frames import Frame, table_bytes
from agent.archives.bundle_reading import is_bundle, read_bundle
from agent.archives.bundle_verifying import verify_bundle
from agent.archives.indexing import index_archive
from agent.archives.layers import open_layer
from agent.protocol.node_files import NAME_PATTERN
from agent.protocol.problems import ProblemError
from tests.agent.archives.test_fuzz import bounded_memory
from tests.archives_made import Entry, Made, layer
from tests.bundles_made import entries_of, make_bundle, manifest_of, packed

NAME = re.compile(NAME_PATTERN)
ONE = Made([layer("base", 900), layer("app", 1500)], tags=["one:1"])
TWO = Made([layer("base", 900)], tags=["two:2"], architecture="arm64")
FILES = {"model/plant/detector.onnx": b"weights" * 200, "release/plant/app.yaml": b"services: {}"}


def whole_bundles() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = make_bundle(folder, [ONE], name="first")
        both = make_bundle(folder, [ONE, TWO], name="both")
        files = make_bundle(folder, [ONE], files=FILES, name="files")
        return [
            first.read_bytes(),
            make_bundle(folder, [ONE, TWO], name="since", since=first).read_bytes(),
            both.read_bytes(),
            packed(manifest_of([ONE, TWO]), entries_of([ONE, TWO])),
            files.read_bytes(),
            make_bundle(folder, [], files=FILES, name="alone").read_bytes(),
            make_bundle(folder, [TWO], files=FILES, name="less", since=files).read_bytes(),
        ]


WHOLE = whole_bundles()


def check_problem(problem: ProblemError, path: Path) -> None:
    """It says where, and what to do."""
    assert problem.code.startswith(("archive.", "bundle."))
    assert problem.hint
    assert str(path) in problem.detail


def check(content: bytes) -> None:
    """Read as an archive, layer by layer, and whole."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some.bundle"
        path.write_bytes(content)
        read_all(path)


def read_all(path: Path) -> None:
    """Layer by layer, and whole."""
    with bounded_memory():
        try:
            index = index_archive(path)
        except ProblemError as problem:
            check_problem(problem, path)
            return
        for each in index.layers:
            try:
                with open_layer(index, each.diff_id) as reader:
                    digest = hashlib.sha256()
                    while part := reader.read(1000):
                        digest.update(part)
            except ProblemError as problem:
                check_problem(problem, path)
            else:
                assert f"sha256:{digest.hexdigest()}" == each.diff_id
        if not is_bundle(path):
            return
        try:
            bundle = verify_bundle(path)
        except ProblemError as problem:
            check_problem(problem, path)
        else:
            assert bundle.index == index == read_bundle(path).index
            known = {each.diff_id for each in index.layers}
            known |= {each.diff_id for each in index.elsewhere}
            assert {file.sha256 for file in index.files} <= known
            assert all(NAME.fullmatch(file.name) for file in index.files)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A whole bundle with some of its bytes changed, cut, moved, doubled or removed."""
    data = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.sampled_from([1, 4, 8, 17, 300]))
        match draw(st.sampled_from(["flip", "set", "cut", "remove", "double", "end"])):
            case "flip" if data:
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "set":
                data[place : place + 4] = draw(st.binary(min_size=4, max_size=4))
            case "cut":
                del data[place:]
            case "remove":
                del data[place : place + length]
            case "double":
                data[place:place] = data[place : place + length]
            case _:
                data[-(place % 60) - 1 :] = draw(st.binary(max_size=60))
    return bytes(data)


@settings(max_examples=200, deadline=None)
@given(damaged())
def test_damage(content: bytes) -> None:
    check(content)


@st.composite
def other_words(draw: st.DrawFn) -> bytes:
    """A manifest in which some values are others, and entries that need not fit."""
    images = [ONE, TWO]
    files = draw(st.sampled_from([{}, FILES]))
    manifest: Any = msgspec.to_builtins(manifest_of(images, files))
    values = st.one_of(
        st.none(),
        st.integers(-2, 2**70),
        st.text(max_size=5),
        st.sampled_from(["../x", "/x", "config", "layer", "model", ONE.diff_ids[0], [], {}]),
    )
    for _ in range(draw(st.integers(1, 3))):
        place = manifest
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if not isinstance(place[key], (dict, list)) or draw(st.booleans()):
                place[key] = draw(values)
                break
            place = place[key]
    entries = draw(st.permutations(entries_of(images, files)))[: draw(st.integers(0, 7))]
    if draw(st.booleans()):
        entries = entries_of(images, files)
    extra = st.builds(
        Entry,
        st.sampled_from(["../x", "/x", "x", "roost-bundle.json", "roost-bundle.sig"]),
        st.sampled_from([b"", b"{}", ONE.layers[0]]),
        st.just("x"),
        st.sampled_from([b"0", b"0", b"1", b"2", b"5"]),
    )
    for each in draw(st.lists(extra, max_size=2)):
        entries.insert(draw(st.integers(0, len(entries))), each)
    return packed(manifest, entries)


@settings(max_examples=200, deadline=None)
@given(other_words())
def test_other_manifests_and_entries(content: bytes) -> None:
    check(content)


def split_bundle() -> dict[str, bytes]:
    """A bundle in parts: the list, and each part."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_bundle(folder, [ONE], files=FILES, name="some.bundle", part_bytes=700)
        return {path.name: path.read_bytes() for path in folder.glob("some.bundle*[0-9e]")}


SPLIT = split_bundle()


@st.composite
def damaged_parts(draw: st.DrawFn) -> dict[str, bytes]:
    """The same, with files of it changed, cut, mixed up or missing."""
    files = {name: bytearray(data) for name, data in SPLIT.items()}
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(files)))
        data = files[name]
        place = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["flip", "set", "cut", "gone", "other", "words"])):
            case "flip" if data:
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "set":
                data[place : place + 4] = draw(st.binary(min_size=4, max_size=4))
            case "cut":
                del data[place:]
            case "gone" if len(files) > 1 and name != "some.bundle":
                del files[name]
            case "words" if "some.bundle" in files:
                said = files["some.bundle"].decode(errors="replace")
                words = st.sampled_from(["../x", "", "some.bundle", "0", "-1", "1e99", "null"])
                old = draw(st.sampled_from(["some.bundle.002", "700", "sha256:"]))
                files["some.bundle"] = bytearray(said.replace(old, draw(words), 1).encode())
            case _:
                files[name] = bytearray(files[draw(st.sampled_from(sorted(files)))])
    return {name: bytes(data) for name, data in files.items()}


@settings(max_examples=200, deadline=None)
@given(damaged_parts())
def test_damaged_parts(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        for file, data in files.items():
            (Path(name) / file).write_bytes(data)
        read_all(Path(name) / "some.bundle")


@settings(max_examples=80, deadline=None)
@given(st.lists(st.builds(Frame, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=9))
def test_other_tables(frames: list[Frame]) -> None:
    whole = WHOLE[0]
    length = sum(frame.compressed for frame in frames)
    stored = whole[: len(whole) - len(whole) // 8]
    padded = stored[:length] if length < 10**6 else stored
    check(padded + bytes(max(0, min(length, 10**6) - len(padded))) + table_bytes(frames))
