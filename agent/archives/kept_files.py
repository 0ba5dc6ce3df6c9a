"""A folder with one file of JSON for each archive. Whatever is wrong with it only costs time."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from agent.durable import appearing
from agent.protocol.decoding import from_json

T = TypeVar("T")

ENTRIES_LIMIT = 64
ENTRY_LIMIT_BYTES = 128 * 1024 * 1024  # twice all JSON that an archive may have


class KeptFiles:
    """What was found out about archives, by their paths; the oldest are removed first."""

    def __init__(self, folder: Path, *, entries_limit: int = ENTRIES_LIMIT) -> None:
        self._folder = folder
        self._limit = entries_limit

    def read(self, archive: Path, kind: type[T]) -> T | None:
        """What was kept for the archive of this path, whatever it is now."""
        file = self._file(archive)
        try:
            if file.stat().st_size > ENTRY_LIMIT_BYTES:
                return None
            return from_json(file.read_bytes(), kind)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def touch(self, archive: Path) -> None:
        """It was of use."""
        with contextlib.suppress(OSError):
            os.utime(self._file(archive))

    def keep(self, archive: Path, value: object) -> None:
        """Keep something; a full or read-only disk is no error."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            # Not synced: it is only a cache.
            with appearing(self._file(archive)) as file:
                file.write(msgspec.json.encode(value))
            self._tidy()

    def _tidy(self) -> None:
        """Temporary files of a process that was killed age like the rest."""
        files = [(file.stat().st_mtime_ns, file) for file in self._folder.iterdir()]
        for _, file in sorted(files)[: -self._limit]:
            file.unlink(missing_ok=True)

    def _file(self, archive: Path) -> Path:
        name = hashlib.sha256(os.fsencode(archive.absolute())).hexdigest()
        return self._folder / f"{name}.json"
