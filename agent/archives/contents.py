"""What an archive consists of: every file with its place, and the small JSON files whole."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent.archives.decompressors import (
    HEAD_BYTES,
    Compression,
    CutOffError,
    DamagedError,
    compression_of,
    decompressor,
)
from agent.archives.faults import FaultError
from agent.archives.names import clean_name, link_target
from agent.archives.sources import CHUNK_BYTES, PartSource, Source, decompressed
from agent.archives.tar_headers import Member, read_members
from agent.protocol.images import CONFIG_LIMIT_BYTES

MEMBERS_LIMIT = 20_000
# All manifests and configs together; 64 images with long histories take some 10 MB.
JSON_LIMIT_BYTES = 64 * 1024 * 1024
LINKS_LIMIT = 16


@dataclass(frozen=True)
class Measure:
    """What a compressed layer is when decompressed."""

    size_bytes: int
    sha256: str  # hex


@dataclass
class Entry:
    """One file of the archive; `offset` is where it begins in the uncompressed tar."""

    name: str
    offset: int
    size_bytes: int
    compression: Compression
    # Of a compressed file in a compressed archive, which is passed only once.
    measure: Measure | FaultError | None = None


@dataclass
class Contents:
    """All that lies in an archive. Names are clean: relative, without `.` and `..`."""

    entries: dict[str, Entry] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    json: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    # Names that came twice with the same size and were not compared: (first, second).
    twice: list[tuple[Entry, Entry]] = field(default_factory=list)
    json_bytes: int = 0

    def find(self, name: str) -> Entry | None:
        """The file of this name, through links."""
        for _ in range(LINKS_LIMIT):
            if name in self.entries:
                return self.entries[name]
            if name not in self.links:
                return None
            name = self.links[name]
        raise FaultError("archive.link", "its links go round in a circle", member=name)

    def document(self, name: str) -> bytes:
        """A JSON file's content.

        Raises:
            FaultError: `archive.missing`, `archive.too_large`, `archive.json`.
        """
        entry = self.find(name)
        if entry is None:
            raise FaultError("archive.missing", "the file is not in the archive", member=name)
        if entry.name in self.json:
            return self.json[entry.name]
        if entry.size_bytes > CONFIG_LIMIT_BYTES:
            what = f"{entry.size_bytes} bytes of JSON are more than {CONFIG_LIMIT_BYTES}"
            raise FaultError("archive.too_large", what, member=name)
        raise FaultError("archive.json", "it is not JSON", member=name)


def _measure(source: Source, compression: Compression) -> Measure:
    """Read a compressed file to its end. Raises DamagedError, FaultError `archive.bomb`."""
    digest = hashlib.sha256()
    unpacked = decompressed(source, decompressor(compression))
    while piece := unpacked.read(CHUNK_BYTES):
        digest.update(piece)
    return Measure(unpacked.position, digest.hexdigest())


def scan(source: Source, *, seekable: bool, heard: Callable[[], None]) -> Contents:
    """Pass once over a tar; `heard` is called after each member.

    In a plain file only headers and JSON are read. Where passing means reading (`seekable` False)
    compressed files are measured on the way, as they might be layers.

    Raises:
        FaultError: what is wrong with the archive.
        DamagedError: what is wrong with its compression.
    """
    contents = Contents()
    for count, member in enumerate(read_members(source)):
        if count >= MEMBERS_LIMIT:
            raise FaultError("archive.too_large", f"it has more than {MEMBERS_LIMIT} entries")
        _add(contents, member, source, seekable=seekable)
        heard()
    return contents


def _add(contents: Contents, member: Member, source: Source, *, seekable: bool) -> None:
    name = clean_name(member.name)
    if member.kind == "folder":
        if name in contents.entries or name in contents.links:
            raise _twice(name)
        contents.folders.add(name)
        return
    if not name or name in contents.folders:
        raise _twice(name)
    if member.kind != "file":
        target = link_target(name, member.kind, member.target)
        if name in contents.entries or contents.links.get(name, target) != target:
            raise _twice(name)
        contents.links[name] = target
        return
    if name in contents.links:
        raise _twice(name)
    entry, document = _read_file(name, member, source, seekable=seekable)
    before = contents.entries.get(name)
    if before is not None:
        _add_again(contents, before, entry, document)
        return
    contents.entries[name] = entry
    if document is not None:
        contents.json_bytes += len(document)
        if contents.json_bytes > JSON_LIMIT_BYTES:
            what = f"its JSON files take more than {JSON_LIMIT_BYTES} bytes"
            raise FaultError("archive.too_large", what)
        contents.json[name] = document


def _read_file(
    name: str, member: Member, source: Source, *, seekable: bool
) -> tuple[Entry, bytes | None]:
    """The entry, and its content if it is JSON."""
    part = PartSource(source, member.size_bytes)
    head = part.read(HEAD_BYTES)
    entry = Entry(name, member.offset, member.size_bytes, compression_of(head))
    if _is_document(name, head, member.size_bytes):
        return entry, head + part.read(member.size_bytes)
    if entry.compression != "none" and not seekable:
        entry.measure = measure_entry(_Rejoined(head, part), entry)
    return entry, None


def _is_document(name: str, head: bytes, size: int) -> bool:
    # Each layer of an old archive has a file `json` that nothing reads.
    return (
        head.lstrip()[:1] in (b"{", b"[")
        and size <= CONFIG_LIMIT_BYTES
        and not name.endswith("/json")
    )


def measure_entry(source: Source, entry: Entry) -> Measure | FaultError:
    """A fault is answered, not raised: it is told only if the file turns out to be a layer."""
    try:
        return _measure(source, entry.compression)
    except FaultError as fault:
        fault.member = entry.name
        return fault
    except CutOffError as error:
        return FaultError("archive.layer_corrupt", str(error), member=entry.name)
    except DamagedError as error:
        return FaultError("archive.layer_corrupt", f"it is damaged: {error}", member=entry.name)


def _add_again(contents: Contents, before: Entry, entry: Entry, document: bytes | None) -> None:
    """The same file twice does no harm; two files under one name would."""
    if before.size_bytes != entry.size_bytes:
        raise _twice(entry.name)
    if document is None:
        contents.twice.append((before, entry))
    elif contents.json.get(entry.name) != document:
        raise _twice(entry.name)


def _twice(name: str) -> FaultError:
    return FaultError("archive.duplicate", "two different entries have this name", member=name)


class _Rejoined:
    """A source whose first bytes were read already."""

    def __init__(self, head: bytes, rest: Source) -> None:
        self._head = head
        self._rest = rest
        self.position = 0

    def read(self, count: int) -> bytes:
        data, self._head = self._head[:count], self._head[count:]
        data += self._rest.read(count - len(data))
        self.position += len(data)
        return data

    def skip(self, count: int) -> None:
        self.read(count)


def scan_folder(folder: Path) -> Contents:
    """An OCI layout that lies as a folder; links in it are refused. Raises FaultError, OSError."""
    contents = Contents()
    blobs = folder / "blobs" / "sha256"
    paths = [path for path in sorted(folder.iterdir()) if path.name.endswith((".json", "-layout"))]
    if blobs.is_dir():
        paths += sorted(blobs.iterdir())
    if len(paths) > MEMBERS_LIMIT:
        raise FaultError("archive.too_large", f"it has more than {MEMBERS_LIMIT} entries")
    for path in paths:
        name = path.relative_to(folder).as_posix()
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode):
            raise FaultError("archive.member_kind", "it is not a regular file", member=name)
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            contents.entries[name] = Entry(name, 0, facts.st_size, compression_of(head))
            if _is_document(name, head, facts.st_size):
                contents.json[name] = head + file.read(CONFIG_LIMIT_BYTES - len(head))
                contents.json_bytes += len(contents.json[name])
        if contents.json_bytes > JSON_LIMIT_BYTES:
            what = f"its JSON files take more than {JSON_LIMIT_BYTES} bytes"
            raise FaultError("archive.too_large", what)
    return contents
