"""Models and release files on their way into a bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from agent.archives.faults import FaultError, told_about
from agent.archives.index import ArchiveIndex
from agent.archives.opening import opened
from agent.archives.sources import CHUNK_BYTES
from agent.protocol.node_files import FileKind, NodeFile, clash
from agent.protocol.problems import ProblemError


class LooseFile(NamedTuple):
    """A file that lies on this machine, and what it shall be on nodes."""

    path: Path
    file: NodeFile


def loose_file(path: Path, kind: FileKind, name: str) -> LooseFile:
    """Reads it, for its digest.

    Raises:
        ProblemError: `archive.unreadable`, `archive.truncated`: it is empty.
    """
    digest, size = hashlib.sha256(), 0
    with opened(path, compression="none") as source:
        while data := source.file.read(CHUNK_BYTES):
            digest.update(data)
            size += len(data)
    sha256 = f"sha256:{digest.hexdigest()}"
    return LooseFile(path, NodeFile(kind=kind, name=name, sha256=sha256, size_bytes=size))


class LooseReader:
    """The bytes of a file, which must be those that its digest was made of."""

    def __init__(self, loose: LooseFile, file: BinaryIO) -> None:
        self._loose, self._file = loose, file
        self._hash, self._left = hashlib.sha256(), loose.file.size_bytes

    def read(self, count: int) -> bytes:
        """Up to `count` bytes; b"" at the end. Raises ProblemError `archive.changed`."""
        with told_about(self._loose.path):
            data = self._file.read(min(count, self._left))
            self._left -= len(data)
            self._hash.update(data)
            if not self._left and (
                f"sha256:{self._hash.hexdigest()}" != self._loose.file.sha256 or self._file.read(1)
            ):
                raise FaultError("archive.changed", "it was changed while the bundle was made")
            if not data and self._left:
                raise FaultError("archive.changed", "it became shorter while the bundle was made")
        return data


def merged_files(archives: Sequence[ArchiveIndex], loose: Iterable[LooseFile]) -> list[NodeFile]:
    """The files of all bundles, and those beside them, each place once.

    Where a bundle and the one that it was made since both have a place, it is as in the later one.

    Raises:
        ProblemError: `file.clash`.
    """
    found: dict[str, tuple[NodeFile, ArchiveIndex | None]] = {}
    for archive in _bases_first(archives):
        for file in archive.files:
            before = found.get(file.place)
            if before is not None and before[0] != file and not _follows(archive, before[1]):
                raise _clash(f"{archive.path} has another {file.title} than {_where(before[1])}")
            found[file.place] = file, archive
    for _, file in loose:
        before = found.get(file.place)
        if before is not None and before[0] != file:
            raise _clash(f"there are two different files for {file.place}")
        found[file.place] = file, None
    files = [file for file, _ in found.values()]
    if wrong := clash(files):
        raise _clash(wrong)
    return files


def _bases_first(archives: Sequence[ArchiveIndex]) -> list[ArchiveIndex]:
    """The same, each after the one that it was made since, if that is among them."""
    left, found = list(archives), []
    while left:
        names = {Path(each.path).name for each in left}
        first = [each for each in left if each.since not in names] or left[:1]
        found += first
        left = [each for each in left if each not in first]
    return found


def _follows(archive: ArchiveIndex, before: ArchiveIndex | None) -> bool:
    return before is not None and archive.since == Path(before.path).name


def _where(archive: ArchiveIndex | None) -> str:
    return "another one" if archive is None else archive.path


def _clash(what: str) -> ProblemError:
    return ProblemError("file.clash", what, hint="Give one of them another name, or leave one out.")
