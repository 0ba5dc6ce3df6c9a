"""The entries of a bundle's tar, one after the other, as its manifest says they come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from agent.archives.bundle_manifest import ManifestEntry
from agent.archives.faults import FaultError
from agent.archives.sources import CHUNK_BYTES, PartSource, Source
from agent.archives.tar_headers import BLOCK_BYTES, Member, read_members


class Entries:
    """Takes each entry as the one that must come now, and checks it on the way."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._members = read_members(source)
        self._peeked: Member | None = None

    def next_is(self, name: str) -> bool:
        """Whether the next entry has this name. Raises as `small` does."""
        member = self._peek()
        return member is not None and member.name == name

    def small(self, name: str, limit_bytes: int) -> bytes:
        """The content of the next entry, which must have this name.

        Raises:
            FaultError: `bundle.entry`, `archive.too_large`, those of `read_members`.
            DamagedError: the file is.
        """
        member = self._take(name)
        if member.size_bytes > limit_bytes:
            what = f"{member.size_bytes} bytes are more than {limit_bytes}"
            raise FaultError("archive.too_large", what, member=name)
        return PartSource(self._source, member.size_bytes).read(member.size_bytes)

    def pieces(self, entry: ManifestEntry) -> Iterator[bytes]:
        """The content of the next entry, in pieces of at most 1 MiB; it must be this one.

        Raises:
            FaultError: `archive.digest` after the last piece, and as `small`.
            DamagedError: the file is.
        """
        member = self._take(entry.name)
        if member.size_bytes != entry.size_bytes:
            what = f"it has {member.size_bytes} bytes, the manifest says {entry.size_bytes}"
            raise FaultError("bundle.entry", what, member=entry.name)
        part = PartSource(self._source, member.size_bytes)
        digest = hashlib.sha256()
        while piece := part.read(CHUNK_BYTES):
            digest.update(piece)
            yield piece
        if f"sha256:{digest.hexdigest()}" != entry.sha256:
            what = f"its content is sha256:{digest.hexdigest()}, the manifest says {entry.sha256}"
            raise FaultError("archive.digest", what, member=entry.name)

    def end(self) -> None:
        """Nothing may follow but the padding of a tar. Raises as `small` does."""
        member = self._peek()
        if member is not None:
            what = "the manifest does not name this entry"
            raise FaultError("bundle.entry", what, member=member.name)
        # tar programs fill up to records of 20 blocks.
        padding = self._source.read(64 * BLOCK_BYTES)
        if padding.strip(b"\0") or self._source.read(1):
            raise FaultError("bundle.entry", "something follows the last entry")

    def _peek(self) -> Member | None:
        if self._peeked is None:
            self._peeked = next(self._members, None)
        return self._peeked

    def _take(self, name: str) -> Member:
        member = self._peek()
        self._peeked = None
        if member is None:
            raise FaultError(
                "bundle.entry", "the manifest names it, but it is not there", member=name
            )
        if member.name != name:
            what = f"in its place the manifest names {name}"
            raise FaultError("bundle.entry", what, member=member.name)
        if member.kind != "file":
            raise FaultError("bundle.entry", f"it is a {member.kind}, not a file", member=name)
        return member
