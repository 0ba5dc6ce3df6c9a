"""Bundles in several files, for disks that take none so large: FAT's limit is 4 GiB.

`app.bundle` is then a small list, and `app.bundle.001` and so on, in the same folder, are the
bundle's bytes, each with its own SHA-256. They are read where they lie; nothing is put together.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, NamedTuple, cast

import msgspec

from agent.archives.faults import FaultError, shown
from agent.protocol.decoding import from_json
from agent.protocol.digest import Digest

FORMAT = 1
# Each is an open file until all are written.
PARTS_LIMIT = 500
LIST_LIMIT_BYTES = 512 * 1024
BEGIN = b'{"roost_bundle_parts":'
PIECE_BYTES = 1 << 20
_NAME = re.compile(r"(?P<whole>.+)\.(?P<number>\d{3})")


class Part(msgspec.Struct, kw_only=True, frozen=True):
    """One file of a bundle."""

    name: str  # in the same folder
    size_bytes: int
    sha256: Digest


class PartList(msgspec.Struct, kw_only=True, frozen=True):
    """What stands for the bundle."""

    roost_bundle_parts: int = FORMAT  # first, so that the file begins as BEGIN
    parts: list[Part]

    @property
    def size_bytes(self) -> int:
        """Of all parts."""
        return sum(part.size_bytes for part in self.parts)


class Facts(NamedTuple):
    """A file as it is now; of a list of parts: all of them, and the newest."""

    size_bytes: int
    modified_ns: int


def read_parts(path: Path) -> PartList | None:
    """The list that is there; None: the file is none.

    Raises:
        FaultError: `bundle.manifest`, `bundle.newer`.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return _list_in(file)


def _list_in(file: BinaryIO) -> PartList | None:
    if file.read(len(BEGIN)) != BEGIN:
        return None
    data = BEGIN + file.read(LIST_LIMIT_BYTES)
    try:
        if from_json(data, _Version).roost_bundle_parts > FORMAT:
            raise FaultError("bundle.newer", "it is a list of parts of a later kind")
        found = from_json(data, PartList)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(shown(str(error))) from None
    names = {part.name for part in found.parts}
    if not 1 <= len(found.parts) <= PARTS_LIMIT or len(names) < len(found.parts):
        raise _bad("it names no part, too many, or one twice")
    for part in found.parts:
        if "/" in part.name or part.name in ("", ".", "..") or not part.name.isprintable():
            raise _bad(f"{shown(part.name)!r} is no name of a part")
        if part.size_bytes < 1:
            raise _bad(f"{shown(part.name)} has no bytes")
    return found


def facts_of(path: Path) -> Facts:
    """Of a file, or of all parts of a bundle, which must all be there.

    Raises:
        FaultError: `bundle.part_missing`, `bundle.part_changed`, and as `read_parts`.
        OSError: it cannot be read.
    """
    facts = path.stat()
    found = read_parts(path) if S_ISREG(facts.st_mode) else None  # a pipe would be waited for
    if found is None:
        return Facts(facts.st_size, facts.st_mtime_ns)
    return _facts_of_all(path, facts, found)


def _facts_of_all(path: Path, facts: os.stat_result, found: PartList) -> Facts:
    newest = facts.st_mtime_ns
    for part in found.parts:
        try:
            now = path.with_name(part.name).stat()
        except FileNotFoundError:
            raise _missing(part, len(found.parts)) from None
        if now.st_size != part.size_bytes:
            raise _changed(part, f"it has {now.st_size} bytes of {part.size_bytes}")
        newest = max(newest, now.st_mtime_ns)
    return Facts(found.size_bytes, newest)


@contextmanager
def opened_whole(path: Path) -> Iterator[tuple[BinaryIO, Facts]]:
    """A file, or the parts of a bundle as one file. Raises as `facts_of`."""
    with path.open("rb") as file:
        facts, found = os.fstat(file.fileno()), _list_in(file)
        if found is None:
            file.seek(0)
            yield file, Facts(facts.st_size, facts.st_mtime_ns)
            return
    whole = _facts_of_all(path, facts, found)
    with io.BufferedReader(_Joined(path, found.parts), PIECE_BYTES) as joined:
        yield cast("BinaryIO", joined), whole


def check_parts(path: Path) -> None:
    """See which part is not what the list says; all are read. Nothing where there is no list.

    Raises:
        FaultError: `bundle.part_missing`, `bundle.part_changed`, and as `read_parts`.
        OSError: it cannot be read.
    """
    found = read_parts(path)
    for part in found.parts if found is not None else ():
        digest = hashlib.sha256()
        try:
            with path.with_name(part.name).open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    digest.update(piece)
        except FileNotFoundError:
            raise _missing(part, len(found.parts) if found else 0) from None
        except OSError as error:
            raise _changed(part, f"it cannot be read: {error.strerror}") from None
        if f"sha256:{digest.hexdigest()}" != part.sha256:
            raise _changed(part, "it has other bytes than when it was made")


def check_is_whole(path: Path) -> None:
    """See that somebody names a bundle, and not a part of one.

    Raises:
        FaultError: `bundle.unknown`, `bundle.part_missing`.
        OSError: it cannot be read.
    """
    matched = _NAME.fullmatch(path.name)
    if matched is None or not path.exists():
        return
    whole = path.with_name(matched["whole"])
    if not whole.exists():
        if int(matched["number"]) and whole.suffix == ".bundle":
            raise FaultError(
                "bundle.part_missing",
                f"it is one part of a bundle, and the list of its parts is missing: {whole.name}",
                hint=f"Copy {whole.name} into this folder, too, and name that.",
            )
        return
    found = read_parts(whole)
    if found is not None and path.name in {part.name for part in found.parts}:
        raise FaultError(
            "bundle.unknown", f"it is one part of {whole.name}", hint=f"Name {whole.name} itself."
        )


def part_names(path: Path) -> list[str]:
    """The parts that a bundle at this path has now; none where it is no list, or a bad one."""
    try:
        found = read_parts(path)
    except (OSError, FaultError):
        return []
    return [] if found is None else [part.name for part in found.parts]


def parts_at(path: Path, offset: int, size_bytes: int) -> list[str]:
    """The parts in which these bytes of the whole bundle lie; none where it is in one file."""
    try:
        found = read_parts(path)
    except (OSError, FaultError):
        return []
    names, begin = [], 0
    for part in found.parts if found is not None else ():
        end = begin + part.size_bytes
        if begin < offset + size_bytes and offset < end:
            names.append(part.name)
        begin = end
    return names


class _Version(msgspec.Struct):
    roost_bundle_parts: int


class _Joined(io.RawIOBase):
    """Parts as one file; one of them is open at a time."""

    def __init__(self, path: Path, parts: Sequence[Part]) -> None:
        self._paths = [path.with_name(part.name) for part in parts]
        self._ends = list(accumulate(part.size_bytes for part in parts))
        self._at, self._open, self._file = 0, -1, cast("BinaryIO", None)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._ends[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        number = next((n for n, end in enumerate(self._ends) if self._at < end), None)
        if number is None:
            return 0
        if number != self._open:
            self._shut()
            self._file, self._open = self._paths[number].open("rb", buffering=0), number
        begin = self._ends[number - 1] if number else 0
        self._file.seek(self._at - begin)
        data = self._file.read(min(len(buffer), self._ends[number] - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._shut()
        super().close()

    def _shut(self) -> None:
        if self._open >= 0:
            self._file.close()
            self._open = -1


def _bad(why: str) -> FaultError:
    return FaultError("bundle.manifest", f"its list of parts is not as it should be: {why}")


def _missing(part: Part, count: int) -> FaultError:
    return FaultError(
        "bundle.part_missing",
        f"{part.name} is missing, one of its {count} parts",
        hint=f"Copy {part.name} into the same folder.",
    )


def _changed(part: Part, what: str) -> FaultError:
    return FaultError(
        "bundle.part_changed", f"{part.name}: {what}", hint=f"Copy {part.name} again."
    )
