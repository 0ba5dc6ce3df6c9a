"""Archives with chance damage: a problem, or an answer that is right; never anything else."""

from __future__ import annotations

import hashlib
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archives.encoders import decode
from agent.archives.indexing import index_archive
from agent.archives.layers import open_layer
from agent.protocol.problems import ProblemError
from tests.archives_made import (
    COMPRESS,
    Entry,
    Made,
    OciLayout,
    docker_archive,
    docker_entries,
    layer,
    oci_archive,
    tar,
)

MEMORY_LIMIT_BYTES = 12 * 1024 * 1024
ONE = Made([layer("base", 900), layer("app", 1500)])
TWO = Made([layer("base", 900)], tags=["two:2"], architecture="arm64")
BOTH = [ONE, TWO]
LAYOUTS = {
    "old": docker_archive(BOTH),
    "new": oci_archive(BOTH, "none", docker=True),
    "oci-gzip": oci_archive(BOTH, "gzip"),
    "oci-zstd": oci_archive(BOTH, "zstd"),
}
WHOLE = [
    *LAYOUTS.values(),
    *(COMPRESS[outer](LAYOUTS["old"]) for outer in ("gzip", "bzip2", "xz", "zstd")),
    COMPRESS["gzip"](LAYOUTS["oci-zstd"]),
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A whole archive with some of its bytes changed, cut, moved, doubled or removed."""
    data = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        place = draw(st.integers(0, len(data) - 1))
        length = draw(st.sampled_from([1, 4, 512, 1024, 3000]))
        match draw(st.sampled_from(["flip", "set", "cut", "remove", "double", "move", "header"])):
            case "flip":
                data[place] ^= 1 << draw(st.integers(0, 7))
            case "set":
                data[place : place + 8] = draw(st.binary(min_size=8, max_size=8))
            case "cut":
                del data[place:]
            case "remove":
                del data[place : place + length]
            case "double":
                data[place:place] = data[place : place + length]
            case "move":
                part = data[place : place + length]
                del data[place : place + length]
                data[place // 2 : place // 2] = part
            case "header":
                _change_header(draw, data)
    return bytes(data)


def _change_header(draw: st.DrawFn, data: bytearray) -> None:
    """Something else in a tar header, with a checksum that fits again."""
    block = draw(st.integers(0, len(data) // 512)) * 512
    field = draw(st.sampled_from([0, 100, 124, 156, 157, 257, 345]))
    header = data[block : block + 512]
    if len(header) < 512:
        return
    header[field : field + 12] = draw(st.binary(min_size=12, max_size=12))
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    data[block : block + 512] = header


@st.composite
def rearranged(draw: st.DrawFn) -> bytes:
    """The members of a whole archive in another order, some lost, some twice, some as links."""
    layout = OciLayout("gzip")
    for image in BOTH:
        layout.add(layout.image(image), f"docker.io/library/{image.tags[0]}")
    oci = [Entry(name, content) for name, content in layout.files(docker=True).items()]
    entries = draw(st.permutations(draw(st.sampled_from([oci, docker_entries(BOTH)]))))
    entries = entries[draw(st.integers(0, 2)) :]
    others = [entry.name for entry in entries]
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from([b"0", b"1", b"2", b"5"]))
        name, target = draw(st.sampled_from(others)), draw(st.sampled_from(others))
        content = draw(st.sampled_from([b"", b"{}", b"[]", ONE.layers[0]])) if kind == b"0" else b""
        entries.insert(0, Entry(name, content, target, kind))
    return tar(entries)


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Fails when Python's memory grew by more than a few pieces."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MEMORY_LIMIT_BYTES
    finally:
        tracemalloc.stop()


def read_wholly(path: Path) -> None:
    """Everything in the archive: a problem with a code of archives, or it is what it says."""
    try:
        index = index_archive(path)
    except ProblemError as problem:
        check_problem(problem, path)
        return
    assert index.images
    sizes = {found.diff_id: found.size_bytes for found in index.layers}
    for image in index.images:
        assert f"sha256:{hashlib.sha256(image.config).hexdigest()}" == image.config_digest
        assert set(image.diff_ids) <= sizes.keys()
    for diff_id, size in sizes.items():
        digest, read = hashlib.sha256(), 0
        try:
            with open_layer(index, diff_id) as reader:
                while part := reader.read(100_000):
                    digest.update(part)
                    read += len(part)
        except ProblemError as problem:
            check_problem(problem, path)
        else:
            assert (f"sha256:{digest.hexdigest()}", read) == (diff_id, size)


def check_problem(problem: ProblemError, path: Path) -> None:
    """It says where, and what to do."""
    assert problem.code.startswith("archive.")
    assert problem.hint
    assert str(path) in problem.detail


def check(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tar"
        path.write_bytes(content)
        with bounded_memory():
            read_wholly(path)


@settings(max_examples=150, deadline=None)
@given(damaged())
def test_damage(content: bytes) -> None:
    check(content)


@settings(max_examples=80, deadline=None)
@given(rearranged())
def test_other_orders(content: bytes) -> None:
    check(content)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=3000))
def test_anything(content: bytes) -> None:
    check(content)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_zstd(data: st.DataObject) -> None:
    """Of what was not noticed nothing is more than was asked for; a whole stream is right."""
    whole = bytearray(COMPRESS["zstd"](ONE.layers[1]))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        with bounded_memory():
            back = b"".join(decode([cut], compressed=True, limit_bytes=100_000))
    except ProblemError as problem:
        check_problem(problem, Path("encoded layer"))
    else:
        assert back in (ONE.layers[1], b"")
