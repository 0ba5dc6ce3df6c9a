"""Images of a simulated node: bytes are taken, hashed and dropped; nothing touches a disk."""

from __future__ import annotations

import io
import time
from collections.abc import Collection, Sequence
from typing import BinaryIO, cast

from agent.images.blobs import Blob
from agent.images.upload_files import Receipt
from agent.images.upload_record import UploadRecord
from agent.images.verifier import Verifier
from agent.protocol.problems import ProblemError

# A request with a checksum is held until it is known to be right.
HELD_LIMIT_BYTES = 16 * 1024 * 1024


class SimulatedBlobs:
    """Knows the layers that came, but has none of their bytes."""

    def __init__(self) -> None:
        self._blobs: dict[str, Blob] = {}

    def add(self, diff_id: str, size_bytes: int, stored_bytes: int) -> None:
        self._blobs[diff_id] = Blob(diff_id, size_bytes, stored_bytes, time.time())

    def load(self) -> None:
        """Nothing was kept."""

    def has(self, diff_id: str) -> bool:
        return diff_id in self._blobs

    def get(self, diff_id: str) -> Blob:
        blob = self._blobs.get(diff_id)
        if blob is None:
            raise ProblemError(
                "blob.not_found",
                f"layer {diff_id} never came to this simulated node",
                params={"diff_id": diff_id},
                hint="Push the image again.",
            )
        return blob

    def list(self) -> list[Blob]:
        return sorted(self._blobs.values(), key=lambda blob: blob.last_used_at)

    def open(self, diff_id: str) -> BinaryIO:
        """As many zeros: its own bytes were dropped, and the simulated runtime drops these."""
        return cast("BinaryIO", _Zeros(self.get(diff_id).size_bytes))

    def touch(self, diff_id: str) -> None:
        self.age(diff_id, 0.0)

    def age(self, diff_id: str, seconds: float) -> None:
        if diff_id in self._blobs:
            used_at = time.time() - seconds
            self._blobs[diff_id] = self._blobs[diff_id]._replace(last_used_at=used_at)

    def remove(self, diff_id: str) -> None:
        self._blobs.pop(diff_id, None)

    def evict(
        self, *, keep_bytes: int, max_age_seconds: float, pinned: Collection[str] = ()
    ) -> Sequence[Blob]:
        return []


class _Zeros(io.RawIOBase):
    def __init__(self, size_bytes: int) -> None:
        self._left = size_bytes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        count = self._left if size < 0 else min(size, self._left)
        self._left -= count
        return bytes(count)


class SimulatedShelf:
    """Uploads of which only the hash is kept."""

    def __init__(self, blobs: SimulatedBlobs) -> None:
        self._blobs = blobs

    def load(self) -> list[tuple[UploadRecord, Receipt | None, float]]:
        return []

    def begin(self, record: UploadRecord) -> Receipt:
        return SimulatedReceipt(record, self._blobs)

    def rewrite(self, record: UploadRecord) -> None:
        """Nothing is written."""

    def remove(self, upload_id: str) -> None:
        """Nothing is there."""

    def free_bytes(self) -> int | None:
        return None


class SimulatedReceipt:
    """Hashes what comes, and counts it."""

    def __init__(self, record: UploadRecord, blobs: SimulatedBlobs) -> None:
        self._record, self._blobs = record, blobs
        self._verifier: Verifier = record.verifier()
        self._held: list[bytes] = []  # not hashed yet
        self.offset = self.written = 0

    def append(self, data: bytes | bytearray) -> None:
        self._held.append(bytes(data))
        self.written += len(data)
        if self.written - self._verifier.position > HELD_LIMIT_BYTES:
            raise ProblemError(
                "upload.too_large",
                f"a simulated node takes {HELD_LIMIT_BYTES} bytes with one checksum",
                hint="Send smaller pieces, or no Upload-Checksum.",
            )

    def verify(self, *, at_most: int) -> bool:
        while self._held and at_most > 0:
            piece = self._held.pop(0)
            self._verifier.feed(piece)
            at_most -= len(piece)
        return not self._held

    def sync(self) -> None:
        self.offset = self.written

    def rollback(self) -> None:
        self._held.clear()
        self.written = self.offset

    def become_blob(self) -> None:
        self._verifier.finish()
        record = self._record
        self._blobs.add(record.diff_id, record.size_bytes, self.offset)

    def there(self) -> bool:
        return True

    def forget_hash(self) -> None:
        """It is all that there is."""
