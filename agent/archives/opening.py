"""An archive's file as one forward source of the uncompressed tar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import fstat
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO

from agent.archives.bundle_parts import Facts, opened_whole
from agent.archives.decompressors import (
    HEAD_BYTES,
    Compression,
    CutOffError,
    DamagedError,
    compression_of,
    decompressor,
)
from agent.archives.faults import FaultError, told_about
from agent.archives.sources import FileSource, PartSource, Source, decompressed


@dataclass
class OpenArchive:
    """An open file; `position` in it shows how far the reading is."""

    file: BinaryIO
    facts: Facts
    compression: Compression
    source: Source


@contextmanager
def opened(path: Path, *, compression: Compression | None = None) -> Iterator[OpenArchive]:
    """The archive at its start; of a bundle in parts, all of them as one file.

    What goes wrong inside is told with the file's name.

    Args:
        compression: what the file is read as; None: what its first bytes say.

    Raises:
        ProblemError: `archive.unreadable`, `archive.truncated`, `archive.damaged` and whatever
            FaultError is raised inside.
    """
    _check_regular(path)
    with told_about(path), damage_told(), opened_whole(path) as (file, facts):
        if not facts.size_bytes:
            raise FaultError("archive.truncated", "the file is empty")
        if compression is None:
            compression = compression_of(file.read(HEAD_BYTES))
            file.seek(0)
        source: Source = FileSource(file, facts.size_bytes)
        if compression != "none":
            source = decompressed(source, decompressor(compression))
        yield OpenArchive(file, facts, compression, source)


def is_folder(path: Path) -> bool:
    """Whether it may be an OCI layout as a folder. Raises ProblemError `archive.unreadable`."""
    with told_about(path):
        return S_ISDIR(path.stat().st_mode)


def _check_regular(path: Path) -> None:
    """Opening a named pipe would wait for ever."""
    with told_about(path):
        if not S_ISREG(path.stat().st_mode):
            raise FaultError("archive.unreadable", "it is not a regular file")


def member_source(file: BinaryIO, offset: int, size_bytes: int) -> Source:
    """The stored bytes of one member of a plain file."""
    source = FileSource(file, fstat(file.fileno()).st_size)
    source.skip(offset)
    return PartSource(source, size_bytes)


@contextmanager
def opened_member(path: Path, member: str, offset: int, size_bytes: int) -> Iterator[Source]:
    """The stored bytes of one member of a plain archive or of a folder. Raises OSError."""
    with (path / member if path.is_dir() else path).open("rb") as file:
        yield member_source(file, offset, size_bytes)


@contextmanager
def damage_told(member: str | None = None) -> Iterator[None]:
    """Damage of the file itself, as a FaultError."""
    try:
        yield
    except CutOffError as error:
        raise FaultError("archive.truncated", str(error), member=member) from None
    except DamagedError as error:
        what = f"its compressed data is damaged: {error}"
        raise FaultError("archive.damaged", what, member=member) from None
