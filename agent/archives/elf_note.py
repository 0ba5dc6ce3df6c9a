"""The note in a forward-compatibility libcuda that says where it runs.

NVIDIA's Container Toolkit goes by the section's name, and so does this: a note in the section
`.note.cuda.fwd_compatibility`, by "NVIDIA Corporation", whose content is JSON. Such a library has
some 100 MB and comes as a stream, so its beginning, its end and its note segments are kept and the
rest is passed over.
"""

from __future__ import annotations

import re
import struct

import msgspec

from agent.archives.sources import Source
from agent.protocol.decoding import from_json

SECTION = b".note.cuda.fwd_compatibility"
OWNER = b"NVIDIA Corporation"
HEAD_BYTES = 256 * 1024
TAIL_BYTES = 1024 * 1024  # the table of sections is the last thing that linkers write
NOTE_LIMIT_BYTES = 64 * 1024
SEGMENTS_LIMIT = 64
SECTIONS_LIMIT = 4096
VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){0,3}")

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
_SEGMENT = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr
_SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
_NOTE = struct.Struct("<III")
_IDENTITY = b"\x7fELF\x02\x01"  # 64 bits, little-endian
_PT_NOTE = 4
_SHT_NOTE = 7


class CompatNote(msgspec.Struct, kw_only=True, frozen=True):
    """What the note says; None: nothing of that. See CompatLibrary."""

    cuda_version: str | None = msgspec.field(name="CUDA Version", default=None)
    drivers: list[int] | None = msgspec.field(name="Driver", default=None)
    devices: list[int] | None = msgspec.field(name="Device", default=None)


class BadElfError(Exception):
    """The file, or the note in it, is not as it should be."""


def read_note(source: Source, size_bytes: int) -> CompatNote | None:
    """The note of the library that `source` is about to give; None: it has none.

    Raises:
        BadElfError: in words.
        CutOffError, DamagedError, FaultError: the source's own.
    """
    kept = [(0, source.read(min(size_bytes, HEAD_BYTES)))]
    at = len(kept[0][1])
    if not kept[0][1].startswith(_IDENTITY):
        raise BadElfError("it is no ELF file of 64 bits")
    for start, end in _wanted(kept[0][1], size_bytes):
        if end > at:
            source.skip(max(start, at) - at)
            at = max(start, at)
            data = source.read(end - at)
            kept.append((at, data))
            at += len(data)
    return _note(_Pieces(kept))


class _Pieces:
    """Parts of a file."""

    def __init__(self, kept: list[tuple[int, bytes]]) -> None:
        self._kept = kept[:1]
        for at, data in kept[1:]:
            first, before = self._kept[-1]
            if first + len(before) == at:
                self._kept[-1] = (first, before + data)
            else:
                self._kept.append((at, data))

    def bytes_at(self, offset: int, count: int) -> bytes:
        """Raises BadElfError unless that part was kept."""
        for at, data in self._kept:
            if at <= offset and offset + count <= at + len(data):
                return data[offset - at : offset - at + count]
        raise BadElfError(f"{count} bytes at {offset} are cut off, or lie where none look")


def _wanted(head: bytes, size: int) -> list[tuple[int, int]]:
    """Where notes may be: segments that say so, and the file's end."""
    if len(head) < _HEADER.size:
        raise BadElfError("it ends within its header")
    _, _, _, _, _, offset, _, _, _, each, count, *_ = _HEADER.unpack_from(head)
    found = [(max(0, size - TAIL_BYTES), size)]
    if each == _SEGMENT.size:
        for number in range(min(count, SEGMENTS_LIMIT)):
            place = offset + number * each
            if place + each > len(head):
                break
            kind, _, start, _, _, length, _, _ = _SEGMENT.unpack_from(head, place)
            if kind == _PT_NOTE and start + length <= size and length <= NOTE_LIMIT_BYTES:
                found.append((start, start + length))
    return sorted(found)


def _note(pieces: _Pieces) -> CompatNote | None:
    header = _HEADER.unpack(pieces.bytes_at(0, _HEADER.size))
    offset, each, count, names_at = header[6], header[11], header[12], header[13]
    if not offset or not count:
        return None  # no sections at all
    if each != _SECTION.size or count > SECTIONS_LIMIT or names_at >= count:
        raise BadElfError("its table of sections is not valid")
    table = pieces.bytes_at(offset, count * each)
    sections = list(_SECTION.iter_unpack(table))
    _, _, _, _, start, length, *_ = sections[names_at]
    names = pieces.bytes_at(start, min(length, TAIL_BYTES))
    for name, kind, _, _, start, length, *_ in sections:
        if kind == _SHT_NOTE and names[name : name + len(SECTION) + 1] == SECTION + b"\0":
            if length > NOTE_LIMIT_BYTES:
                raise BadElfError(f"its note takes {length} bytes")
            return _decoded(pieces.bytes_at(start, length))
    return None


def _decoded(data: bytes) -> CompatNote | None:
    """None where it is another one's note, as the toolkit has it."""
    if len(data) < _NOTE.size:
        raise BadElfError("its note is cut off")
    name_bytes, size, _ = _NOTE.unpack_from(data)
    name = data[_NOTE.size : _NOTE.size + name_bytes]
    if not size or name.rstrip(b"\0") != OWNER:
        return None
    # How the content is aligned differs between builds (4 and 8 bytes seen): it begins with {.
    begin = data.find(b"{", _NOTE.size + name_bytes)
    text = data[begin : begin + size].split(b"\0", 1)[0] if begin >= 0 else b""
    try:
        note = from_json(text, CompatNote)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadElfError("its note is not the JSON that it should be") from None
    if note.cuda_version is not None and not VERSION.fullmatch(note.cuda_version):
        raise BadElfError("its note gives no CUDA version")
    return note
