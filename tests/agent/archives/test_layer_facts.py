"""Layers that somebody made to do harm: an answer with a problem, and nothing else."""

from __future__ import annotations

import io
import tracemalloc

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archives.layer_facts import LayerFacts, layer_facts
from agent.archives.layer_walk import visible
from agent.archives.sources import FileSource
from tests.archives_made import Entry, tar
from tests.compat_library import library, note

MEMORY_LIMIT_BYTES = 8 * 1024 * 1024
LIBRARY = "usr/local/cuda-12.9/compat/libcuda.so.575.57.08"
WHOLE = tar(
    [
        Entry("usr/local/.wh.cuda-12.8"),
        Entry("var/lib/dpkg/status", b"Package: libnvinfer10\nVersion: 10.8.0.43-1\n"),
        Entry("a/site-packages/tensorrt-8.6.1.dist-info/METADATA"),
        Entry(LIBRARY, library(note())),
    ]
)


def facts(data: bytes) -> LayerFacts:
    return layer_facts(FileSource(io.BytesIO(data), len(data)))


def test_whole() -> None:
    found = facts(WHOLE)
    assert (found.problem, found.hidden) == ("", ["usr/local/cuda-12.8"])
    assert len(found.files) == 3
    again = msgspec.json.decode(msgspec.json.encode(found), type=LayerFacts)
    assert again == found


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """With some bytes changed, and the checksum of a header made to fit again."""
    data = bytearray(WHOLE)
    for _ in range(draw(st.integers(1, 4))):
        block = draw(st.integers(0, len(data) // 512 - 1)) * 512
        at = block + draw(st.sampled_from([0, 100, 124, 156, 157, 257, 345, 500]))
        data[at : at + 12] = draw(st.binary(min_size=12, max_size=12))
        if draw(st.booleans()):
            data[block + 148 : block + 156] = b" " * 8
            checksum = sum(data[block : block + 512])
            data[block + 148 : block + 156] = f"{checksum:06o}\0 ".encode()
    return bytes(data[: draw(st.integers(1, len(data)))])


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_damage(data: bytes) -> None:
    found = facts(data)
    assert isinstance(found.problem, str)
    visible([found, found])


@given(st.binary(max_size=2000))
def test_anything(data: bytes) -> None:
    assert facts(data).problem or not data.strip(b"\0")


def test_memory_stays_flat() -> None:
    """Large files, some of them of interest: a few pieces are kept of each."""

    class Endless:
        position = 0

        def __init__(self, head: bytes) -> None:
            self._head = io.BytesIO(head)

        def read(self, count: int) -> bytes:
            data = self._head.read(count)
            self.position += count
            return data + bytes(count - len(data))

        def skip(self, count: int) -> None:
            self.position += count
            self._head.seek(count, io.SEEK_CUR)

    header = bytearray(tar([Entry(LIBRARY, b"")])[:512])
    header[124:136] = b"77777777777\0"  # 8 GiB
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    tracemalloc.start()
    try:
        found = layer_facts(Endless(bytes(header) + library(note())))
        assert tracemalloc.get_traced_memory()[1] < MEMORY_LIMIT_BYTES
    finally:
        tracemalloc.stop()
    assert list(found.files) == [LIBRARY]
    assert found.files[LIBRARY].note is not None
