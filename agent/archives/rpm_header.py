"""A package's header as rpm keeps it in its database.

Two big-endian counts, of entries and of data bytes; the entries (tag, type, offset, count, four
bytes each); the data. Layout, tags and types: rpm's own docs/manual/hregions.md, lib/header.c and
include/rpm/rpmtag.h.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agent.protocol.packages import Package

# rpm's own limits (header.c): HEADER_TAGS_MAX, HEADER_DATA_MAX.
ENTRIES_LIMIT = 0xFFFF
DATA_LIMIT_BYTES = 0x0FFFFFFF
# Ten times what the largest packages bring.
FILES_LIMIT = 250_000
PATH_LIMIT = 4096  # Linux's PATH_MAX

NAME, VERSION, RELEASE, EPOCH, ARCH, SOURCERPM = 1000, 1001, 1002, 1003, 1022, 1044
DIRINDEXES, BASENAMES, DIRNAMES = 1116, 1117, 1118
_INT32, _STRING, _STRING_ARRAY, _I18NSTRING = 4, 6, 8, 9
_LISTS = (DIRINDEXES, BASENAMES, DIRNAMES)
_TEXTS = (_STRING, _STRING_ARRAY, _I18NSTRING)
_WANTED = frozenset(
    {NAME, VERSION, RELEASE, EPOCH, ARCH, SOURCERPM, DIRINDEXES, BASENAMES, DIRNAMES}
)
_COUNTS = struct.Struct(">II")
_ENTRY = struct.Struct(">IIII")
_SOURCE = re.compile(r"(.+)-([^-]+-[^-]+)\.(?:no)?src\.rpm")


class BadHeaderError(Exception):
    """It is no header of rpm's; the text says how that shows."""


class Header(NamedTuple):
    """A package and the files that it brought, by their paths below the root.

    The paths are made one by one: a long folder, named with each file, would fill memory.
    """

    package: Package
    files: Iterator[str]


def read_header(blob: bytes) -> Header:
    """Raises BadHeaderError."""
    tags = _tags(blob)
    name = _first(tags, NAME)
    epoch = tags.get(EPOCH, [])
    version = f"{_first(tags, VERSION)}-{_first(tags, RELEASE)}"
    prefix = f"{epoch[0]}:" if epoch and epoch[0] else ""
    # The file's name does not tell the source's epoch; a package has that of its source nearly
    # always, and tools that compare take it for the same.
    source = source_of(_first(tags, SOURCERPM)) or (name, version)
    package = Package(
        kind="rpm",
        name=name,
        version=prefix + version,
        architecture=_first(tags, ARCH),
        source=source[0],
        source_version=prefix + source[1],
    )
    return Header(package=package, files=_files(tags))


def source_of(file: str) -> tuple[str, str] | None:
    """Name and version of NAME-VERSION-RELEASE.src.rpm; None: it is no such name."""
    match = _SOURCE.fullmatch(file)
    return None if match is None else (match[1], match[2])


Values = Sequence[str] | Sequence[int]


def _tags(blob: bytes) -> dict[int, Values]:
    if len(blob) < _COUNTS.size:
        raise BadHeaderError("it is shorter than its counts")
    entries, size = _COUNTS.unpack_from(blob)
    begin = _COUNTS.size + entries * _ENTRY.size
    if not 0 < entries <= ENTRIES_LIMIT or size > DATA_LIMIT_BYTES or begin + size != len(blob):
        raise BadHeaderError(f"{entries} entries and {size} bytes do not make its {len(blob)}")
    data = blob[begin:]
    found: dict[int, Values] = {}
    for at in range(entries):
        tag, kind, offset, count = _ENTRY.unpack_from(blob, _COUNTS.size + at * _ENTRY.size)
        if tag in _WANTED and tag not in found:
            found[tag] = _values(data, kind, offset, count, first=tag not in _LISTS)
    return found


def _values(data: bytes, kind: int, offset: int, count: int, *, first: bool) -> Values:
    """All of them; of texts, with `first`, but that."""
    if count > FILES_LIMIT:
        raise BadHeaderError(f"it has more than {FILES_LIMIT} files")
    if kind == _INT32:
        if offset + 4 * count > len(data):
            raise BadHeaderError("numbers reach past its end")
        return struct.unpack_from(f">{count}I", data, offset)
    if kind not in _TEXTS or count > len(data):
        raise BadHeaderError(f"a tag has the type {kind}, {count} times")
    texts = []
    for _ in range(min(count, 1) if first else count):
        end = data.find(b"\0", offset)
        if end < 0:
            raise BadHeaderError("a text has no end")
        texts.append(data[offset:end].decode("utf-8", "replace"))
        offset = end + 1
    return texts


def _first(tags: dict[int, Values], tag: int) -> str:
    values = tags.get(tag) or [""]
    return str(values[0])


def _files(tags: dict[int, Values]) -> Iterator[str]:
    folders, names = tags.get(DIRNAMES, ()), tags.get(BASENAMES, ())
    places = [at for at in tags.get(DIRINDEXES, ()) if isinstance(at, int) and at < len(folders)]
    if len(names) != len(places):
        raise BadHeaderError("its files are in folders that it does not name")
    return (
        f"{folder}{name}".lstrip("/")
        for folder, name in zip((str(folders[at]) for at in places), map(str, names), strict=True)
        if len(folder) + len(name) <= PATH_LIMIT
    )
