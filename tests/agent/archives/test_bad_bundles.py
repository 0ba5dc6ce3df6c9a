"""Bundles that are broken, made up, or changed: each is a clear problem."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.archives.bundle_frames import table_bytes
from agent.archives.bundle_manifest import FORMAT, Manifest, ManifestEntry
from agent.archives.bundle_reading import read_bundle
from agent.archives.bundle_verifying import verify_bundle
from agent.archives.indexing import index_archive
from agent.archives.layers import open_layer
from agent.protocol.images import CONFIG_LIMIT_BYTES
from agent.protocol.problems import ProblemError
from tests.archives_made import Entry, Made, layer, sha256
from tests.bundles_made import entries_of, framed, make_bundle, manifest_of, packed

ONE = Made([layer("base"), layer("one")], tags=["one:1"])
Words = dict[str, Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bad.bundle"


def words() -> Words:
    """A good manifest to be spoilt."""
    made: Words = msgspec.to_builtins(manifest_of([ONE]))
    return made


def code_of(file: Path, content: bytes, read: Callable[[Path], object] = verify_bundle) -> str:
    file.write_bytes(content)
    with pytest.raises(ProblemError) as caught:
        read(file)
    assert caught.value.hint
    assert str(file) in caught.value.detail
    return caught.value.code


def test_packed_is_good(file: Path) -> None:
    file.write_bytes(packed(manifest_of([ONE]), entries_of([ONE])))
    assert len(verify_bundle(file).index.layers) == 2


def test_truncated_anywhere(tmp_path: Path, file: Path) -> None:
    whole = make_bundle(tmp_path, [ONE]).read_bytes()
    for length in range(600, len(whole), 97):
        assert code_of(file, whole[:length], read_bundle) == "archive.truncated"


def test_longer_than_it_was(tmp_path: Path, file: Path) -> None:
    whole = make_bundle(tmp_path, [ONE]).read_bytes()
    assert code_of(file, whole + bytes(10)) == "archive.truncated"
    assert code_of(file, whole + whole) == "archive.damaged"


@pytest.mark.parametrize("part", ["content", "header"])
def test_changed_after_it_was_made(tmp_path: Path, file: Path, part: str) -> None:
    """zstd's own checksums are made to fit again: the manifest still tells."""
    bundle = read_bundle(make_bundle(tmp_path, [ONE]))
    other = layer("other")
    entries = entries_of([ONE])
    entries[1] = Entry(entries[1].name if part == "content" else f"layers/{'0' * 64}.tar", other)
    content = packed(bundle.head[0], entries)
    expected = {"content": "archive.digest", "header": "bundle.entry"}[part]
    assert code_of(file, content) == expected
    if part == "content":
        index = index_archive(file)  # it is found out where the layer is read
        with open_layer(index, sha256(ONE.layers[0])) as it, pytest.raises(ProblemError) as caught:
            it.skip(len(other))
        assert caught.value.code == "archive.layer_corrupt"


def test_a_newer_format(file: Path) -> None:
    newer = words() | {"format": FORMAT + 1, "images": "as nobody knows yet"}
    assert code_of(file, packed(newer, [])) == "bundle.newer"


def test_kinds_of_a_later_version_are_passed_over(file: Path) -> None:
    notes = b"what is new"
    manifest = words()
    entry = ManifestEntry(
        kind="notes", name="notes/a.txt", sha256=sha256(notes), size_bytes=len(notes)
    )
    manifest["entries"].append(msgspec.to_builtins(entry))
    manifest["more"] = {"that": "is new"}
    file_of_it = {"kind": "notes", "name": "//", "sha256": entry.sha256, "size_bytes": -1}
    manifest["files"] = [file_of_it]
    file.write_bytes(packed(manifest, [*entries_of([ONE]), Entry(entry.name, notes)]))
    assert len(verify_bundle(file).index.layers) == 2
    spoilt = packed(manifest, [*entries_of([ONE]), Entry(entry.name, notes[:-1] + b"x")])
    assert code_of(file, spoilt) == "archive.digest"


def spoil(change: Callable[[Words], object]) -> Words:
    manifest = words()
    change(manifest)
    return manifest


def extra(**more: Any) -> Words:
    """One more entry."""
    entry = {"kind": "release", "name": "x", "sha256": sha256(b""), "size_bytes": 0}
    return spoil(lambda manifest: manifest["entries"].append(entry | more))


@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        (extra(name="../../etc/passwd"), "archive.path"),
        (extra(name="/etc/passwd"), "archive.path"),
        (extra(name=""), "archive.path"),
        (extra(name="a\x1b[2J"), "archive.path"),
        (extra(name="a" * 101), "archive.path"),
        (extra(name="roost-bundle.json"), "archive.duplicate"),
        (spoil(lambda m: m["entries"].append(m["entries"][-1])), "archive.duplicate"),
        (extra(size_bytes=-1), "bundle.manifest"),
        (extra(kind="layer", name="layers/x.tar"), "bundle.manifest"),
        (spoil(lambda m: m["entries"].insert(3, m["entries"].pop(0))), "bundle.manifest"),
        (spoil(lambda m: m["entries"].pop(0)), "bundle.manifest"),
        (spoil(lambda m: m["entries"].pop()), "bundle.manifest"),
        (spoil(lambda m: m.update(entries=[])), "bundle.manifest"),
        (spoil(lambda m: m["images"][0]["tags"].append("no tag")), "archive.tag"),
        (spoil(lambda m: m["images"][0].update(diff_ids=["x"])), "bundle.manifest"),
        (spoil(lambda m: m["images"][0]["diff_ids"].reverse()), "archive.layers_mismatch"),
        (spoil(lambda m: m.update(entries=m["entries"] * 10_000)), "archive.too_large"),
        (spoil(lambda m: m.update(images=m["images"] * 2000)), "archive.too_large"),
        (spoil(lambda m: m.pop("images")), "bundle.manifest"),
        (
            spoil(lambda m: m["entries"][0].update(size_bytes=CONFIG_LIMIT_BYTES + 1)),
            "archive.too_large",
        ),
        (spoil(lambda m: m["entries"][0].update(size_bytes=1)), "bundle.entry"),
    ],
)
def test_manifests_that_do_not_fit(file: Path, manifest: Words, code: str) -> None:
    assert code_of(file, packed(manifest, entries_of([ONE])), read_bundle) == code


@pytest.mark.parametrize("manifest", [b"", b"{", b"[" * 100_000, b'"x"', b"\xff", b'{"format": 1}'])
def test_manifests_that_are_none(file: Path, manifest: bytes) -> None:
    assert code_of(file, packed(manifest, []), read_bundle) == "bundle.manifest"


def test_endless_entries(file: Path) -> None:
    """It is over with the first that the manifest does not name."""
    more = [Entry(f"more/{number}", bytes(100)) for number in range(3000)]
    content = packed(manifest_of([ONE]), [*entries_of([ONE]), *more])
    assert code_of(file, content) == "bundle.entry"


def test_something_behind_the_end(file: Path) -> None:
    whole = framed([tar_of(manifest_of([ONE]), entries_of([ONE])), bytes(100_000_000)])
    assert code_of(file, whole, verify_bundle) in {"archive.damaged", "bundle.entry"}


def tar_of(manifest: Manifest, entries: list[Entry]) -> bytes:
    """One frame for all, which no writer of ours makes."""
    data = msgspec.json.encode(manifest)
    parts = []
    for entry in [Entry("roost-bundle.json", data), *entries]:
        info = tarfile.TarInfo(entry.name)
        info.size = len(entry.content)
        parts += [info.tobuf(tarfile.GNU_FORMAT), entry.content, bytes(-info.size % 512)]
    return b"".join([*parts, bytes(1024)])


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_links_and_folders_in_place_of_files(file: Path, kind: bytes) -> None:
    entries = entries_of([ONE])
    entries[0] = Entry(entries[0].name, target="/etc/passwd", kind=kind)
    assert code_of(file, packed(manifest_of([ONE]), entries)) == "bundle.entry"


def test_an_entry_too_few(file: Path) -> None:
    content = packed(manifest_of([ONE]), entries_of([ONE])[:-1])
    assert code_of(file, content) == "archive.damaged"  # the table says so before


def test_a_table_about_other_places(tmp_path: Path, file: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path, [ONE]))
    data = Path(bundle.index.path).read_bytes()[: bundle.table.stored_bytes]
    frames = list(bundle.table.frames)
    for one, other in ((1, 2), (2, 1)):
        moved = [*frames]
        moved[one] = moved[one]._replace(compressed=moved[one].compressed - 1)
        moved[other] = moved[other]._replace(compressed=moved[other].compressed + 1)
        assert code_of(file, data + table_bytes(moved)) in {"archive.damaged", "archive.truncated"}
    larger = [*frames]
    larger[1] = larger[1]._replace(decompressed=larger[1].decompressed + 512)
    assert code_of(file, data + table_bytes(larger)) == "archive.damaged"
    assert code_of(file, data + table_bytes(frames[:-1])) == "archive.damaged"
    assert code_of(file, data + table_bytes([])) == "archive.damaged"


def test_packed_anew_by_another_program(tmp_path: Path, file: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path, [ONE]))
    data = Path(bundle.index.path).read_bytes()[: bundle.table.stored_bytes]
    assert code_of(file, data) == "archive.truncated"


def test_a_layer_of_zeros_that_never_ends(file: Path) -> None:
    """Its frames give more than the table says: no more than that is read."""
    pieces = packed(manifest_of([ONE]), entries_of([ONE]))
    file.write_bytes(pieces)
    index = index_archive(file)
    # In place of the second layer lie frames of far more zeros.
    second = index.layers[1]
    zeros = framed([bytes(50_000_000)])
    spoilt = pieces[: second.offset] + zeros + pieces[second.offset + second.stored_bytes :]
    other = file.with_name("zeros.bundle")
    other.write_bytes(spoilt)
    assert code_of(other, spoilt) == "archive.damaged"


def test_a_signature_that_is_none(file: Path) -> None:
    entries = [Entry("roost-bundle.sig", b"no json"), *entries_of([ONE])]
    assert code_of(file, packed(manifest_of([ONE]), entries), read_bundle) == "archive.json"
