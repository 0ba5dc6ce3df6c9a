"""Archives that are not as they should be: each a problem that says what is wrong and where."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.archives import contents, sources
from agent.archives.cache import IndexCache
from agent.archives.indexing import index_archive
from agent.protocol.problems import ProblemError
from tests.archives_made import (
    COMPRESS,
    Entry,
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

IMAGE = Made([layer("base"), layer("app")])
Change = Callable[[list[Entry]], object]


def problem_of(path: Path) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        index_archive(path)
    problem = caught.value
    assert str(path) in problem.detail
    assert problem.hint
    return problem


def code_of(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return problem_of(path).code


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the test's archive goes."""
    return tmp_path / "image.tar"


def test_no_file(file: Path) -> None:
    problem = problem_of(file)
    assert problem.code == "archive.unreadable"
    assert "No such file" in problem.detail


def test_no_regular_file(file: Path) -> None:
    assert problem_of(Path("/dev/null")).code == "archive.unreadable"


def test_a_named_pipe_is_not_waited_for(file: Path) -> None:
    os.mkfifo(file)
    assert problem_of(file).code == "archive.unreadable"


def test_a_disk_that_gives_errors() -> None:
    """Nothing is at address 0 of a process: reading there is an input/output error."""
    problem = problem_of(Path("/proc/self/mem"))
    assert problem.code == "archive.unreadable"
    assert "Input/output error" in problem.detail


@pytest.mark.parametrize("content", [b"#!/bin/sh\necho\n" * 100, os.urandom(4096), b"x"])
def test_something_else(file: Path, content: bytes) -> None:
    assert code_of(file, content) in {"archive.unknown", "archive.truncated"}


@pytest.mark.parametrize("content", [b"\0" * 10240, tar({"readme.txt": b"hello"})])
def test_a_tar_without_a_manifest(file: Path, content: bytes) -> None:
    assert code_of(file, content) == "archive.manifest_missing"


def test_an_archive_of_the_oldest_docker(file: Path) -> None:
    file.write_bytes(tar({"repositories": b"{}", "abc/json": b"{}", "abc/layer.tar": b""}))
    problem = problem_of(file)
    assert problem.code == "archive.manifest_missing"
    assert "1.10" in problem.detail


@pytest.mark.parametrize("outer", COMPRESS)
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_file(file: Path, outer: str, kept: float) -> None:
    content = COMPRESS[outer](docker_archive([IMAGE]).rstrip(b"\0"))
    assert code_of(file, content[: int(len(content) * kept)]) == "archive.truncated"


@pytest.mark.parametrize("outer", sorted(set(COMPRESS) - {"none"}))
def test_a_compressed_file_without_its_last_byte(file: Path, outer: str) -> None:
    content = COMPRESS[outer](docker_archive([IMAGE]))
    assert code_of(file, content[:-1]) == "archive.truncated"


@pytest.mark.parametrize("outer", sorted(set(COMPRESS) - {"none"}))
def test_a_compressed_file_that_is_damaged(file: Path, outer: str) -> None:
    content = bytearray(COMPRESS[outer](docker_archive([IMAGE])))
    for place in range(len(content) // 2, len(content) // 2 + 8):
        content[place] ^= 0xFF
    assert code_of(file, bytes(content)) in {
        "archive.damaged",
        "archive.truncated",
        "archive.digest",
    }


def test_a_damaged_header(file: Path) -> None:
    content = bytearray(docker_archive([IMAGE]))
    place = content.index(b"/layer.tar")
    content[place] ^= 1
    assert code_of(file, bytes(content)) == "archive.damaged"


@pytest.mark.parametrize("name", ["/etc/passwd", "../../etc/passwd", "blobs/../../x", "a/.."])
def test_names_that_lead_out(file: Path, name: str) -> None:
    file.write_bytes(tar([Entry(name, b"x"), *docker_entries([IMAGE])]))
    problem = problem_of(file)
    assert problem.code == "archive.path"
    assert name in problem.detail


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/shadow", "../../../etc/shadow", ".."])
def test_links_that_lead_out(file: Path, kind: bytes, target: str) -> None:
    entries = [Entry("layer", target=target, kind=kind), *docker_entries([IMAGE])]
    assert code_of(file, tar(entries)) == "archive.link"


def test_links_in_a_circle(file: Path) -> None:
    entries = docker_entries([IMAGE])
    one = next(entry for entry in entries if entry.name.endswith("layer.tar"))
    one.kind, one.target, one.content = tarfile.SYMTYPE, "other", b""
    there = Entry(f"{one.name.split('/')[0]}/other", target="layer.tar", kind=tarfile.SYMTYPE)
    assert code_of(file, tar([*entries, there])) == "archive.link"


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"?"])
def test_devices(file: Path, kind: bytes) -> None:
    entries = [Entry("dev/null", kind=kind), *docker_entries([IMAGE])]
    assert code_of(file, tar(entries)) == "archive.member_kind"


@pytest.mark.parametrize("outer", ["none", "gzip"])
def test_two_files_of_one_name(file: Path, outer: str) -> None:
    other = Made([layer("x"), layer("y")])
    entries = [*docker_entries([IMAGE]), *docker_entries([other])]
    assert code_of(file, COMPRESS[outer](tar(entries))) == "archive.duplicate"


@pytest.mark.parametrize("first", ["file", "link"])
def test_a_file_and_a_link_of_one_name(file: Path, first: str) -> None:
    entries = docker_entries([IMAGE])
    one = next(entry for entry in entries if entry.name.endswith("layer.tar"))
    link = Entry(one.name, target="VERSION", kind=tarfile.SYMTYPE)
    both = [link, *entries] if first == "link" else [*entries, link]
    assert code_of(file, tar(both)) == "archive.duplicate"


def test_the_same_file_twice_does_no_harm(file: Path) -> None:
    entries = docker_entries([IMAGE])
    file.write_bytes(tar(entries + entries))
    assert len(index_archive(file).layers) == 2


def manifest(entries: list[Entry]) -> Entry:
    return next(entry for entry in entries if entry.name == "manifest.json")


def change_manifest(key: str, value: object) -> Change:
    def change(entries: list[Entry]) -> None:
        words = json.loads(manifest(entries).content)
        words[0][key] = value
        manifest(entries).content = as_json(words)

    return change


def set_manifest(content: bytes) -> Change:
    return lambda entries: setattr(manifest(entries), "content", content)


def remove(ending: str) -> Change:
    def change(entries: list[Entry]) -> None:
        entries.remove(next(entry for entry in entries if entry.name.endswith(ending)))

    return change


def spoil_config(entries: list[Entry]) -> None:
    config = next(entry for entry in entries if entry.content == IMAGE.config)
    config.content = config.content.replace(b"amd64", b"arm64")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (set_manifest(b"[{]"), "archive.json"),
        (set_manifest(b"hello"), "archive.json"),
        (set_manifest(b'{"Config": 1}'), "archive.json"),
        (set_manifest(b"[]"), "archive.manifest_missing"),
        (set_manifest(b"[" * 100_000), "archive.json"),
        (set_manifest(b"[" + b" " * 5_000_000 + b"]"), "archive.too_large"),
        (change_manifest("Config", "../x.json"), "archive.path"),
        (change_manifest("Config", "x.json"), "archive.missing"),
        (change_manifest("Layers", []), "archive.layers_mismatch"),
        (change_manifest("Layers", ["a/layer.tar", "/b/layer.tar"]), "archive.path"),
        (change_manifest("Layers", ["a/layer.tar", "b/layer.tar"]), "archive.missing"),
        (change_manifest("Layers", None), "archive.layers_mismatch"),
        (change_manifest("RepoTags", ["Not A Tag"]), "archive.tag"),
        (change_manifest("RepoTags", ["a" * 300 + ":1"]), "archive.tag"),
        (remove("/layer.tar"), "archive.missing"),
        (remove("manifest.json"), "archive.manifest_missing"),
        (spoil_config, "archive.digest"),
    ],
)
def test_a_docker_archive_that_is_wrong(file: Path, change: Change, code: str) -> None:
    entries = docker_entries([IMAGE])
    change(entries)
    assert code_of(file, tar(entries)) == code


def test_one_file_for_two_layers(file: Path) -> None:
    entries = docker_entries([IMAGE])
    words = json.loads(manifest(entries).content)
    words[0]["Layers"] = [words[0]["Layers"][0]] * 2
    manifest(entries).content = as_json(words)
    assert code_of(file, tar(entries)) == "archive.digest"


def test_too_many_entries(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MEMBERS_LIMIT", 100)
    entries = [Entry(f"{number}") for number in range(101)]
    assert code_of(file, tar(entries)) == "archive.too_large"


def test_too_much_json(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "JSON_LIMIT_BYTES", 1_000_000)
    entries = [Entry(f"{number}.json", b"{" + bytes(300_000)) for number in range(4)]
    assert code_of(file, tar(entries)) == "archive.too_large"


def test_a_pax_header_of_gigabytes(file: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 8 * 1024**3
    assert code_of(file, info.tobuf(tarfile.GNU_FORMAT)) == "archive.too_large"


@pytest.mark.parametrize("outer", ["none", "zstd"])
@pytest.mark.parametrize("inner", ["gzip", "zstd"])
def test_an_oci_layer_that_is_damaged(file: Path, inner: str, outer: str) -> None:
    layout = OciLayout(inner)
    layout.add(layout.image(IMAGE), "docker.io/library/made:1")
    files = layout.files()
    name = next(name for name, data in files.items() if COMPRESS[inner](IMAGE.layers[1]) == data)
    spoilt = bytearray(files[name])
    spoilt[len(spoilt) // 2] ^= 0x55
    files[name] = bytes(spoilt)
    file.write_bytes(COMPRESS[outer](tar(files)))
    problem = problem_of(file)
    assert problem.code == "archive.layer_corrupt"
    assert name in problem.detail


def test_an_oci_layer_of_another_content(file: Path) -> None:
    layout = OciLayout("gzip")
    layout.add(layout.image(IMAGE))
    files = layout.files()
    one, two = (f"blobs/{sha256(COMPRESS['gzip'](d)).replace(':', '/')}" for d in IMAGE.layers)
    assert len(files[one]) != len(files[two])
    files[one] = files[two]
    assert code_of(file, tar(files)) == "archive.digest"


def test_a_plain_oci_layer_under_a_wrong_name(file: Path) -> None:
    layout = OciLayout("none")
    image = Made([layer("base")])
    real = Made([layer("other")])
    layout.blob(real.layers[0], "")
    descriptor = layout.image(image)
    files = layout.files()
    words = json.loads(files[f"blobs/{descriptor['digest'].replace(':', '/')}"])
    words["layers"][0]["digest"] = real.diff_ids[0]
    layout.add(layout.blob(as_json(words), descriptor["mediaType"]))
    assert code_of(file, tar(layout.files())) == "archive.digest"


@pytest.mark.parametrize("lost", ["manifest", "config", "layer"])
def test_an_oci_blob_that_is_missing(file: Path, lost: str) -> None:
    layout = OciLayout("gzip")
    descriptor = layout.image(IMAGE)
    layout.add(descriptor)
    files = layout.files()
    name = {
        "manifest": descriptor["digest"],
        "config": sha256(IMAGE.config),
        "layer": sha256(COMPRESS["gzip"](IMAGE.layers[0])),
    }[lost]
    del files[f"blobs/{name.replace(':', '/')}"]
    assert code_of(file, tar(files)) == "archive.missing"


@pytest.mark.parametrize("kept", ["index", "attestation"])
def test_an_oci_layout_without_an_image(file: Path, kept: str) -> None:
    layout = OciLayout("gzip")
    if kept == "attestation":
        layout.add(layout.index([layout.attestation(sha256(b""))]))
    assert code_of(file, tar(layout.files())) == "archive.manifest_missing"


def test_a_digest_that_is_none(file: Path) -> None:
    layout = OciLayout("gzip")
    layout.add(layout.image(IMAGE) | {"digest": "sha256:../../../../etc/shadow"})
    assert code_of(file, tar(layout.files())) == "archive.digest"


def test_indexes_in_indexes_without_end(file: Path) -> None:
    layout = OciLayout("gzip")
    descriptor = layout.image(IMAGE)
    for _ in range(6):
        descriptor = layout.index([descriptor])
    layout.add(descriptor)
    assert code_of(file, tar(layout.files())) == "archive.too_large"


@pytest.mark.parametrize("inner", ["gzip", "zstd"])
@pytest.mark.parametrize("outer", ["none", "gzip", "zstd"])
def test_a_layer_of_zeros(
    file: Path, monkeypatch: pytest.MonkeyPatch, outer: str, inner: str
) -> None:
    """The limit is lowered: 1 GiB takes a second."""
    monkeypatch.setattr(sources, "BOMB_BYTES", 4 * 1024**2)
    made = oci_archive([Made([bytes(8 * 1024**2)])], inner)
    assert code_of(file, COMPRESS[outer](made)) == "archive.bomb"


@pytest.mark.parametrize("cached", [True, False])
def test_a_folder_is_told_as_one(tmp_path: Path, *, cached: bool) -> None:
    """Not as a file that is not there."""
    with pytest.raises(ProblemError) as caught:
        IndexCache(tmp_path / "cache").index(tmp_path) if cached else index_archive(tmp_path)
    assert caught.value.code == "archive.unknown"
    assert caught.value.detail.startswith(f"{tmp_path}: it is a folder, not an archive")
    assert "oci:FOLDER" in (caught.value.hint or "")


@pytest.mark.parametrize("cached", [True, False])
def test_an_empty_file_is_told_as_one(file: Path, *, cached: bool) -> None:
    """What is left of a copy that failed; saving the image again would mend nothing."""
    file.write_bytes(b"")
    with pytest.raises(ProblemError) as caught:
        IndexCache(file.parent / "cache").index(file) if cached else index_archive(file)
    assert (caught.value.code, caught.value.detail) == (
        "archive.truncated",
        f"{file}: the file is empty",
    )
    assert "Copy it again" in (caught.value.hint or "")


def test_a_folder_with_links(tmp_path: Path) -> None:
    (tmp_path / "index.json").symlink_to("/etc/passwd")
    assert problem_of(tmp_path).code == "archive.member_kind"


def test_names_are_fit_for_a_terminal(file: Path) -> None:
    file.write_bytes(tar([Entry("/\x1b[2Jevil", b"x")]))
    assert "\x1b" not in problem_of(file).detail
