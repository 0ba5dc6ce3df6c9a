"""The bytes of one request, on their way into an upload."""

from __future__ import annotations

import hashlib
import time
from typing import NamedTuple

from agent.images import upload_problems as problems
from agent.images.upload_files import Receipt
from agent.images.upload_record import UploadRecord

# After a restart, what was there before is hashed beside what arrives: so much with each piece.
HASH_BYTES = 2 * 1024 * 1024
SYNC_BYTES = 16 * 1024 * 1024
SYNC_SECONDS = 1.0


class Checksum(NamedTuple):
    """What one request's bytes shall hash to."""

    algorithm: str  # of hashlib
    digest: bytes


class Intake:
    """Takes one request's bytes. With a checksum, all of them or none."""

    def __init__(self, receipt: Receipt, record: UploadRecord, checksum: Checksum | None) -> None:
        self._receipt, self._record = receipt, record
        self._expected = b"" if checksum is None else checksum.digest
        self._hash = (
            None if checksum is None else hashlib.new(checksum.algorithm, usedforsecurity=False)
        )
        self._coming = receipt.offset
        self._synced_at = time.monotonic()
        self.broken = False

    def expect(self, size: int) -> None:
        """So many bytes come next. Raises ProblemError `upload.too_large`."""
        if self._coming + size > self._record.end_bytes:
            raise problems.too_long(self._record)
        self._coming += size

    def take(self, data: bytearray) -> None:
        """Write and hash. Blocks. Raises ProblemError `space.full`, `blob.*`."""
        receipt = self._receipt
        try:
            receipt.append(data)
            if self._hash is not None:
                self._hash.update(data)
                return
            receipt.verify(at_most=HASH_BYTES)
            due = time.monotonic() - self._synced_at >= SYNC_SECONDS
            if due or receipt.written - receipt.offset >= SYNC_BYTES:
                receipt.sync()
                self._synced_at = time.monotonic()
        except BaseException:
            self.broken = True
            raise

    def finish(self) -> None:
        """All came: make it durable. Blocks. Raises ProblemError `upload.checksum`, as `take`."""
        if self._hash is not None and self._hash.digest() != self._expected:
            self._receipt.rollback()
            raise problems.wrong_checksum(self._hash.name)
        self._receipt.sync()

    def salvage(self) -> None:
        """It ended early: keep what may be kept. Blocks. Raises as `take`."""
        if self._hash is not None:
            self._receipt.rollback()
        else:
            self._receipt.sync()
