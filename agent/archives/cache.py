"""Indexes of archives that were looked into before, by path, size and time of change."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import msgspec

from agent.archives.detached import with_signature
from agent.archives.faults import told_about
from agent.archives.index import FORMAT, ArchiveIndex
from agent.archives.indexing import Heard, index_archive, unheard
from agent.archives.oci_layout import INDEX
from agent.durable import appearing

ENTRIES_LIMIT = 64
ENTRY_LIMIT_BYTES = 128 * 1024 * 1024  # twice all JSON that an archive may have


class IndexCache:
    """A folder with one file for each archive. Whatever is wrong with it only costs time."""

    def __init__(self, folder: Path, *, entries_limit: int = ENTRIES_LIMIT) -> None:
        self._folder = folder
        self._limit = entries_limit

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
            facts = at.stat()
        file = self._file(path)
        try:
            if file.stat().st_size > ENTRY_LIMIT_BYTES:
                return None
            index = msgspec.json.decode(file.read_bytes(), type=ArchiveIndex)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        now = (FORMAT, str(path.absolute()), facts.st_size, facts.st_mtime_ns)
        if (index.format, index.path, index.size_bytes, index.modified_ns) != now:
            return None
        with contextlib.suppress(OSError):
            os.utime(file)  # the oldest are removed first
        return index

    def _made(self, path: Path, heard: Heard) -> ArchiveIndex:
        index = index_archive(path, heard=heard)
        # A cache on a full or read-only disk is no reason to fail.
        with contextlib.suppress(OSError):
            self._keep(path, index)
        return index

    def _keep(self, path: Path, index: ArchiveIndex) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Not synced: it is only a cache.
        with appearing(self._file(path)) as file:
            file.write(msgspec.json.encode(index))
        self._tidy()

    def _tidy(self) -> None:
        """Temporary files of a process that was killed age like the rest."""
        files = [(file.stat().st_mtime_ns, file) for file in self._folder.iterdir()]
        for _, file in sorted(files)[: -self._limit]:
            file.unlink(missing_ok=True)

    def _file(self, path: Path) -> Path:
        name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()
        return self._folder / f"{name}.json"
