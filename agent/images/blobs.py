"""The blob store: layers that are whole and verified, kept as they came.

A blob is one file, named by the hex digits of its diff_id: `<hex>` is the layer's plain tar,
`<hex>.<size>.zst` the same compressed, with the plain tar's size in bytes in the name. So one
rename makes a blob, and nothing beside it has to be kept in step. A file's time of change is when
it was last used.
"""

from __future__ import annotations

import io
import os
import re
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, cast

import zstandard

from agent.durable import sync_folder
from agent.images.disk import folder_for_us, told
from agent.protocol.problems import ProblemError

# What zstd asks every decoder to have (RFC 8878, 3.1.1.1.2); `zstd -19` stays within it.
WINDOW_LIMIT_BYTES = 8 * 1024 * 1024
NAME = re.compile(r"(?P<hex>[0-9a-f]{64})(?:\.(?P<size>[0-9]{1,15})\.zst)?")


class Blob(NamedTuple):
    """One layer on this node."""

    diff_id: str  # "sha256:..." of the uncompressed tar
    size_bytes: int  # of the uncompressed tar
    stored_bytes: int  # on disk
    last_used_at: float  # Unix seconds, by the node's clock


class StoredBlob(NamedTuple):
    """One layer as it is stored, open; whoever asked for it closes it."""

    file: BinaryIO
    size_bytes: int  # of the uncompressed tar
    stored_bytes: int  # of the file
    compressed: bool


class Blobs(Protocol):
    """What the rest of the agent wants of a blob store. All but `has` may touch the disk."""

    def has(self, diff_id: str) -> bool:
        """Whether it is here, whole and verified."""

    def get(self, diff_id: str) -> Blob:
        """Raises ProblemError `blob.not_found`."""

    def list(self) -> list[Blob]:
        """All of them, the longest unused first."""

    def open(self, diff_id: str) -> BinaryIO:
        """The uncompressed tar, to be read from the beginning; counts as use.

        Raises ProblemError `blob.not_found`. Reading raises OSError for a damaged file.
        """

    def touch(self, diff_id: str) -> None:
        """Count as used now, if it is here."""

    def age(self, diff_id: str, seconds: float) -> None:
        """Whenever it is used, from now on: count as used so many seconds before."""

    def remove(self, diff_id: str) -> None:
        """Remove it, if it is here. Who has it open reads on."""

    def evict(
        self, *, keep_bytes: int, max_age_seconds: float, pinned: Collection[str] = ()
    ) -> Sequence[Blob]:
        """Remove what was unused for too long, then the longest unused until `keep_bytes` stay.

        `pinned` diff_ids stay whatever happens, and count. Returns what was removed.
        """


class BlobStore:
    """The blobs in one folder. Blocks on the disk; for threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._files: dict[str, Path] = {}
        self._sizes: dict[str, int] = {}
        self._aged: dict[str, float] = {}

    def load(self) -> None:
        """Find what is there, and remove files that are no blobs (left by a crash).

        Raises:
            ProblemError: `space.full`, `blob.storage`.
        """
        with told(self.folder):
            folder_for_us(self.folder)
            for path in self.folder.iterdir():
                matched = NAME.fullmatch(path.name)
                if matched and path.is_file():
                    self._enter(path, matched["hex"], matched["size"])
                elif path.is_file():
                    path.unlink()

    def add(self, data: Path, diff_id: str, size_bytes: int, *, compressed: bool) -> None:
        """Take over a file that is verified and synced; it must lie on the same filesystem.

        Raises:
            ProblemError: `space.full`, `blob.storage`; then the file is where it was.
        """
        digits = diff_id.removeprefix("sha256:")
        path = self.folder / (f"{digits}.{size_bytes}.zst" if compressed else digits)
        with told(self.folder):
            data.rename(path)
            sync_folder(self.folder)
            with self._lock:
                before = self._files.get(diff_id)
                if before is not None and before != path:
                    before.unlink(missing_ok=True)
            self._enter(path, digits, str(size_bytes))

    def has(self, diff_id: str) -> bool:
        return diff_id in self._files

    def get(self, diff_id: str) -> Blob:
        path = self._path(diff_id)
        try:
            facts = path.stat()
        except FileNotFoundError:
            raise self._gone(diff_id) from None
        return Blob(diff_id, self._sizes[diff_id], facts.st_size, facts.st_mtime)

    def list(self) -> list[Blob]:
        found = []
        for diff_id in tuple(self._files):
            try:
                found.append(self.get(diff_id))
            except ProblemError:
                continue
        return sorted(found, key=lambda blob: blob.last_used_at)

    def open(self, diff_id: str) -> BinaryIO:
        path = self._path(diff_id)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise self._gone(diff_id) from None
        self.touch(diff_id)
        if path.suffix != ".zst":
            return file
        decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_LIMIT_BYTES)
        reader = decompressor.stream_reader(file, read_across_frames=True, closefd=True)
        return cast("BinaryIO", io.BufferedReader(_Whole(reader, self._sizes[diff_id])))

    def open_stored(self, diff_id: str) -> StoredBlob:
        """Its bytes as they lie here; counts as use. Raises ProblemError `blob.not_found`."""
        path = self._path(diff_id)
        size = self._sizes[diff_id]
        try:
            file = path.open("rb", buffering=0)
        except FileNotFoundError:
            raise self._gone(diff_id) from None
        self.touch(diff_id)
        stored = os.fstat(file.fileno()).st_size
        return StoredBlob(cast("BinaryIO", file), size, stored, path.suffix == ".zst")

    def touch(self, diff_id: str) -> None:
        path = self._files.get(diff_id)
        if path is not None:
            used_at = time.time() - self._aged.get(diff_id, 0.0)
            try:
                os.utime(path, (used_at, used_at))
            except FileNotFoundError:
                self._forget(diff_id)

    def age(self, diff_id: str, seconds: float) -> None:
        if diff_id in self._files:
            self._aged[diff_id] = seconds
            self.touch(diff_id)

    def remove(self, diff_id: str) -> None:
        path = self._files.get(diff_id)
        self._forget(diff_id)
        if path is not None:
            with told(self.folder):
                path.unlink(missing_ok=True)

    def evict(
        self, *, keep_bytes: int, max_age_seconds: float, pinned: Collection[str] = ()
    ) -> Sequence[Blob]:
        now = time.time()
        blobs = self.list()
        total = sum(blob.stored_bytes for blob in blobs)
        removed = []
        for blob in blobs:
            too_old = now - blob.last_used_at > max_age_seconds
            if blob.diff_id not in pinned and (too_old or total > keep_bytes):
                self.remove(blob.diff_id)
                total -= blob.stored_bytes
                removed.append(blob)
        return removed

    def _enter(self, path: Path, digits: str, size: str | None) -> None:
        diff_id = f"sha256:{digits}"
        with self._lock:
            self._sizes[diff_id] = path.stat().st_size if size is None else int(size)
            self._files[diff_id] = path

    def _forget(self, diff_id: str) -> None:
        with self._lock:
            self._files.pop(diff_id, None)
            self._sizes.pop(diff_id, None)
            self._aged.pop(diff_id, None)

    def _path(self, diff_id: str) -> Path:
        path = self._files.get(diff_id)
        if path is None:
            raise self._gone(diff_id)
        return path

    def _gone(self, diff_id: str) -> ProblemError:
        self._forget(diff_id)
        return ProblemError(
            "blob.not_found",
            f"layer {diff_id} is not in the node's store",
            params={"diff_id": diff_id},
            hint="It was never sent, or made room for others; push the image again.",
        )


class _Whole(io.RawIOBase):
    """A decoder's output that must have the size it is said to have."""

    def __init__(self, source: zstandard.ZstdDecompressionReader, size_bytes: int) -> None:
        self._source, self._left = source, size_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._source.read(min(len(buffer), self._left))
        except zstandard.ZstdError as error:
            raise OSError(f"the stored layer is damaged: {error}") from None
        if not data and self._left:
            raise OSError(f"the stored layer is damaged: {self._left} bytes are missing")
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._source.close()  # type: ignore[no-untyped-call]
        super().close()
