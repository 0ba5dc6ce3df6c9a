"""Indexes of archives that were looked into before, by path, size and time of change."""

from __future__ import annotations

from pathlib import Path

from agent.archives.bundle_parts import facts_of
from agent.archives.detached import with_signature
from agent.archives.faults import told_about
from agent.archives.index import FORMAT, ArchiveIndex
from agent.archives.indexing import Heard, index_archive, unheard
from agent.archives.kept_files import ENTRIES_LIMIT, KeptFiles
from agent.archives.oci_layout import INDEX


class IndexCache:
    """A folder with one file for each archive."""

    def __init__(self, folder: Path, *, entries_limit: int = ENTRIES_LIMIT) -> None:
        self._files = KeptFiles(folder, entries_limit=entries_limit)

    def index(self, path: Path, *, heard: Heard = unheard) -> ArchiveIndex:
        """The archive's index, kept or made and kept now, with the signature beside it.

        Raises:
            ProblemError: as `index_archive`.
        """
        return with_signature(self.kept(path) or self._made(path, heard))

    def kept(self, path: Path) -> ArchiveIndex | None:
        """The index that was kept for the file as it is now. Raises ProblemError."""
        with told_about(path):
            at = path / INDEX if path.is_dir() else path
            if not at.exists() and path.exists():
                return None  # a folder that is no archive: who indexes it says so
            facts = facts_of(at)
        index = self._files.read(path, ArchiveIndex)
        now = (FORMAT, str(path.absolute()), *facts)
        if index is None or (index.format, index.path, index.size_bytes, index.modified_ns) != now:
            return None
        self._files.touch(path)
        return index

    def _made(self, path: Path, heard: Heard) -> ArchiveIndex:
        index = index_archive(path, heard=heard)
        self._files.keep(path, index)
        return index
