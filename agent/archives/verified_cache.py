"""Layers of archives that were read to their end and found whole, by path, size and time of change.

Indexing reads what is compressed; of layers that lie plain in an archive, and of bundles, it reads
only where they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from agent.archives.bundle_reading import is_bundle
from agent.archives.faults import told_about
from agent.archives.index import ArchiveIndex
from agent.archives.kept_files import ENTRIES_LIMIT, KeptFiles
from agent.archives.opening import is_folder

FORMAT = 1  # of what is kept


class KeptVerified(msgspec.Struct, kw_only=True):
    """The whole layers of an archive as it was then.

    Those that were not are not kept: a stick may have been read badly only once.
    """

    archive: tuple[str, int, int]  # path, size, time of change
    layers: list[str]  # diff_ids
    format: int = FORMAT


def unread_layers(index: ArchiveIndex) -> set[str]:
    """The diff_ids of layers that were not verified when this index was made.

    Raises:
        ProblemError: the file cannot be read.
    """
    if index.compression != "none":
        return set()
    path = Path(index.path)
    with told_about(path):
        every = not is_folder(path) and is_bundle(path)
    return {layer.diff_id for layer in index.layers if every or layer.compression == "none"}


class VerifiedCache:
    """A folder with one file for each archive: another one than the indexes'. For threads."""

    def __init__(self, folder: Path, *, entries_limit: int = ENTRIES_LIMIT) -> None:
        self._files = KeptFiles(folder, entries_limit=entries_limit)

    def unverified(self, index: ArchiveIndex) -> set[str]:
        """The diff_ids of its layers that nobody has read to their end. Raises ProblemError."""
        if not (unread := unread_layers(index)):
            return unread
        return unread - self._kept(index)

    def add(self, index: ArchiveIndex, diff_ids: Iterable[str]) -> None:
        """These were read, and are whole."""
        layers = sorted(self._kept(index) | set(diff_ids))
        self._files.keep(Path(index.path), KeptVerified(archive=_identity(index), layers=layers))

    def _kept(self, index: ArchiveIndex) -> set[str]:
        kept = self._files.read(Path(index.path), KeptVerified)
        if kept is None or (kept.format, kept.archive) != (FORMAT, _identity(index)):
            return set()
        self._files.touch(Path(index.path))
        return set(kept.layers)


def _identity(index: ArchiveIndex) -> tuple[str, int, int]:
    return index.path, index.size_bytes, index.modified_ns
