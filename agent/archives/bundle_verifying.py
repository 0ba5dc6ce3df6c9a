"""Reading a bundle from its first byte to its last: is everything as its manifest says?"""

from __future__ import annotations

from pathlib import Path

from agent.archives.bundle_entries import Entries
from agent.archives.bundle_frames import FrameTable
from agent.archives.bundle_manifest import MANIFEST, SIGNATURE
from agent.archives.bundle_parts import check_parts
from agent.archives.bundle_reading import Bundle, read_bundle
from agent.archives.decompressors import decompressor
from agent.archives.faults import FaultError, told_about
from agent.archives.indexing import Heard, unheard
from agent.archives.opening import opened
from agent.archives.sources import CHUNK_BYTES, PartSource, Source, decompressed
from agent.protocol.problems import ProblemError


def verify_bundle(path: Path, *, heard: Heard = unheard) -> Bundle:
    """Read all of it, frame by frame, and compare each entry with the manifest.

    Of the signature nothing but its form is checked here. Of a damaged one in parts it is said
    which part that is.

    Raises:
        ProblemError: `bundle.*`, `archive.*`: file, entry and what is wrong.
    """
    try:
        return _verified(path, heard)
    except ProblemError:
        with told_about(path):
            check_parts(path)
        raise


def _verified(path: Path, heard: Heard) -> Bundle:
    bundle = read_bundle(path)
    with opened(path, compression="none") as archive:
        entries = Entries(FrameSource(archive.source, bundle.table))
        for name, data in zip((MANIFEST, SIGNATURE), bundle.head, strict=False):
            if entries.small(name, len(data)) != data:
                raise FaultError("archive.changed", "it is being changed", member=name)
        for entry in bundle.manifest.entries:
            for _ in entries.pieces(entry):
                heard(archive.file.tell(), archive.facts.size_bytes)
        entries.end()
    return bundle


class FrameSource:
    """What the frames of a table hold; each must hold as much as the table says."""

    def __init__(self, file: Source, table: FrameTable) -> None:
        self._file = file
        self._frames = iter(table.frames)
        self._frame: Source | None = None
        self._left = 0
        self.position = 0

    def read(self, count: int) -> bytes:
        """Raises FaultError `archive.damaged`, DamagedError."""
        parts: list[bytes] = []
        while count > 0 and (self._left or self._next()):
            data = b"" if self._frame is None else self._frame.read(min(count, self._left))
            if not data:
                raise _misfit()
            parts.append(data)
            count -= len(data)
            self._left -= len(data)
            self.position += len(data)
        return b"".join(parts)

    def skip(self, count: int) -> None:
        """Read and drop."""
        while count > 0 and (data := self.read(min(count, CHUNK_BYTES))):
            count -= len(data)
        if count > 0:
            raise FaultError("archive.truncated", "the bundle ends within an entry")

    def _next(self) -> bool:
        """The next frame that holds something."""
        if self._frame is not None and self._frame.read(1):
            raise _misfit()
        self._frame = None
        for frame in self._frames:
            part = PartSource(self._file, frame.compressed)
            self._frame = decompressed(part, decompressor("zstd"))
            self._left = frame.decompressed
            if self._left:
                return True
            if self._frame.read(1):
                raise _misfit()
            self._frame = None
        return False


def _misfit() -> FaultError:
    return FaultError("archive.damaged", "a frame is not as long as the seek table says")
