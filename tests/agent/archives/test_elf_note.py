"""The note of a forward-compatibility library, found in a stream."""

from __future__ import annotations

import contextlib
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.archives.decompressors import CutOffError
from agent.archives.elf_note import HEAD_BYTES, TAIL_BYTES, BadElfError, CompatNote, read_note
from tests.compat_library import NOTE, compiled, library, note

TOLD = CompatNote(
    cuda_version="12.9",
    drivers=[535, 550, 560, 565, 570, 575],
    devices=[1, 2, 7, 8, 9, 10, 11, 12, 13, 14],
)


class Memory:
    """Bytes as a source; counts what is read, not what is skipped."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position, self.read_bytes = data, 0, 0

    def read(self, count: int) -> bytes:
        data = self.data[self.position : self.position + count]
        if len(data) < count:
            raise CutOffError("the file ends too early")
        self.position += count
        self.read_bytes += count
        return data

    def skip(self, count: int) -> None:
        if self.position + count > len(self.data):
            raise CutOffError("the file ends too early")
        self.position += count


def told(data: bytes) -> CompatNote | None:
    return read_note(Memory(data), len(data))


def tell(data: bytes) -> None:
    """Whatever comes, it is a note, none, or a word about it; any other error goes through."""
    with contextlib.suppress(BadElfError):
        assert isinstance(told(data), CompatNote | None)


@pytest.mark.parametrize("align", [1, 4, 8])
def test_note_by_hand(align: int) -> None:
    assert told(library(note(align=align))) == TOLD


def test_the_note_of_jetsons_names_only_the_cuda_version() -> None:
    found = told(library(note({"CUDA Version": "13.2"}, align=8)))
    assert found == CompatNote(cuda_version="13.2")


def test_real_linker(tmp_path: Path) -> None:
    assert told(compiled(tmp_path)) == TOLD


def test_a_large_library_is_passed_over(tmp_path: Path) -> None:
    """The linker puts the note first and the sections last, with 40 MB between."""
    source = Memory(compiled(tmp_path, filler=40_000_000))
    tracemalloc.start()
    try:
        assert read_note(source, len(source.data)) == TOLD
        assert tracemalloc.get_traced_memory()[1] < 4 * (HEAD_BYTES + TAIL_BYTES)
    finally:
        tracemalloc.stop()
    assert source.read_bytes <= HEAD_BYTES + TAIL_BYTES


def test_note_in_the_middle_is_found_by_its_segment() -> None:
    far = 2 * TAIL_BYTES
    assert told(library(note(), before=far, middle=far)) == TOLD
    with pytest.raises(BadElfError, match="where none look"):
        told(library(note(), segment=False, before=far, middle=far))


def test_none() -> None:
    assert told(library(note(), section=".note.gnu.build-id")) is None
    assert told(library(note(owner=b"GNU\0"))) is None
    assert told(library(note(b""))) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no ELF"),
        (b"#!/bin/sh\n", "no ELF"),
        (b"\x7fELF\x01\x01\x01" + bytes(100), "no ELF"),  # 32 bits
        (b"\x7fELF\x02\x02\x01" + bytes(100), "no ELF"),  # big-endian
        (b"\x7fELF\x02\x01\x01", "within its header"),
        (library(b"\1\0\0\0"), "cut off"),
        (library(note(b"{")), "not the JSON"),
        (library(note(b"nothing")), "not the JSON"),
        (library(note({"Driver": "all"})), "not the JSON"),
        (library(note({"Driver": [535.5]})), "not the JSON"),
        (library(note({"CUDA Version": "new"})), "no CUDA version"),
        (library(note({**NOTE, "More": "x" * 70_000})), "its note takes"),
        (library(note())[:-1], "cut off"),
    ],
)
def test_bad(data: bytes, words: str) -> None:
    with pytest.raises(BadElfError, match=words):
        told(data)


@given(st.binary(max_size=400))
def test_anything_is_refused_in_words(data: bytes) -> None:
    tell(b"\x7fELF\x02\x01" + data)


WHOLE = library(note())


@settings(max_examples=400)
@given(st.data())
def test_damage_is_refused_in_words(data: st.DataObject) -> None:
    """Anywhere, and above all in the table of sections, the program header and the note."""
    changed = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 8))
        changed[at : at + 8] = data.draw(
            st.one_of(st.binary(min_size=8, max_size=8), st.sampled_from([b"\xff" * 8, bytes(8)]))
        )
    tell(bytes(changed[: data.draw(st.integers(1, len(changed)))]))
