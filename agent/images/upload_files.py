"""Uploads on disk: `<id>.json` says what it is, `<id>.data` has the bytes, `<id>.offset` how many
of them are durable.

The offset is 20 digits that are written over in place, after the data they count is synced. The
data may be longer than that: what is behind the offset was never acknowledged, and is cut off
when the upload is found again. The JSON is written last and removed first: files without it are
strays. A JSON whose data is gone and whose blob is there belongs to an upload that is done.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from agent.durable import sync_folder, write_whole
from agent.images import upload_problems as problems
from agent.images.blobs import BlobStore
from agent.images.disk import folder_for_us, told
from agent.images.upload_record import ID, UploadRecord
from agent.images.verifier import Verifier
from agent.protocol.decoding import from_json
from agent.protocol.problems import ProblemError

READ_BYTES = 256 * 1024
OFFSET_DIGITS = 20


class Receipt(Protocol):
    """The bytes of one upload. All methods may block: for threads, one at a time."""

    @property
    def offset(self) -> int:
        """How many bytes are durable. Does not block."""

    @property
    def written(self) -> int:
        """How many bytes were taken, durable or not. Does not block."""

    def append(self, data: bytes | bytearray) -> None:
        """Take bytes. Raises ProblemError `space.full`, `blob.storage`; some may be taken."""

    def verify(self, *, at_most: int) -> bool:
        """Hash up to `at_most` more of the bytes that were written; whether all are hashed.

        Raises ProblemError `blob.size`, `blob.encoding`.
        """

    def sync(self) -> None:
        """Make what was written durable. Raises as `append`; then it goes back to `offset`."""

    def rollback(self) -> None:
        """Forget what was written since the last sync."""

    def become_blob(self) -> None:
        """All is there and hashed: compare, and hand the bytes to the blob store.

        Raises ProblemError `blob.*`, `space.full`.
        """

    def there(self) -> bool:
        """Whether nobody has removed what was written."""

    def forget_hash(self) -> None:
        """Free the memory that hashing needs; it begins anew when it must."""


class Shelf(Protocol):
    """Where uploads are kept. All methods may block: for threads."""

    def load(self) -> list[tuple[UploadRecord, Receipt | None, float]]:
        """What is there: record, bytes (None: it is done), time of its last byte (Unix)."""

    def begin(self, record: UploadRecord) -> Receipt:
        """Make room for a new one. Raises ProblemError `space.full`, `blob.storage`."""

    def rewrite(self, record: UploadRecord) -> None:
        """The record changed."""

    def remove(self, upload_id: str) -> None:
        """Nothing of it stays."""

    def free_bytes(self) -> int | None:
        """What may be written there; None: it has no end."""


class FileShelf:
    """Uploads in one folder, beside a blob store on the same filesystem."""

    def __init__(self, folder: Path, blobs: BlobStore) -> None:
        self.folder, self._blobs = folder, blobs

    def load(self) -> list[tuple[UploadRecord, Receipt | None, float]]:
        with told(self.folder):
            folder_for_us(self.folder)
            found = list(self._found())
            known = {record.id for record, _, _ in found}
            for path in self.folder.iterdir():
                if path.name.partition(".")[0] not in known:
                    path.unlink()
        return found

    def _found(self) -> Iterator[tuple[UploadRecord, Receipt | None, float]]:
        for path in sorted(self.folder.glob("*.json")):
            try:
                record = from_json(path.read_bytes(), UploadRecord)
            except msgspec.MsgspecError:
                continue
            if record.id != path.stem or not ID.fullmatch(record.id):
                continue
            data = path.with_suffix(".data")
            if data.exists():
                path.with_suffix(".offset").touch(mode=0o600)
                receipt = FileReceipt(data, record, self._blobs)
                yield record, receipt, data.stat().st_mtime
            elif self._blobs.has(record.diff_id):
                yield record, None, path.stat().st_mtime

    def begin(self, record: UploadRecord) -> Receipt:
        with told(self.folder):
            folder_for_us(self.folder)
            data = self.folder / f"{record.id}.data"
            try:
                data.with_suffix(".offset").write_bytes(b"%0*d\n" % (OFFSET_DIGITS, 0))
                data.touch(mode=0o600)
                receipt = FileReceipt(data, record, self._blobs)
                receipt.sync()
                self.rewrite(record)
            except (OSError, ProblemError):
                self.remove(record.id)
                raise
        return receipt

    def rewrite(self, record: UploadRecord) -> None:
        path = self.folder / f"{record.id}.json"
        with told(path):
            write_whole(path, msgspec.json.encode(record))

    def remove(self, upload_id: str) -> None:
        with told(self.folder):
            for kind in ("json", "data", "offset"):
                (self.folder / f"{upload_id}.{kind}").unlink(missing_ok=True)

    def free_bytes(self) -> int | None:
        with told(self.folder):
            folder_for_us(self.folder)
            facts = os.statvfs(self.folder)
        return facts.f_bavail * facts.f_frsize


class FileReceipt:
    """The bytes of one upload in two files."""

    def __init__(self, data: Path, record: UploadRecord, blobs: BlobStore) -> None:
        """Goes on from what is there; `record.size_bytes` and `diff_id` never change."""
        self._data, self._record, self._blobs = data, record, blobs
        self._offset_file = data.with_suffix(".offset")
        self._verifier: Verifier | None = None
        try:
            told_offset = int(self._offset_file.read_bytes())
        except (OSError, ValueError):
            told_offset = 0
        self.offset = min(told_offset, data.stat().st_size)
        self.written = self.offset
        self._cut()

    def append(self, data: bytes | bytearray) -> None:
        with self._told(), self._data.open("r+b", buffering=0) as file:
            file.seek(self.written)
            view = memoryview(data)
            while view:
                taken = file.write(view)
                self.written += taken
                view = view[taken:]

    def verify(self, *, at_most: int) -> bool:
        verifier = self._verifier
        if verifier is None:
            verifier = self._verifier = self._record.verifier()
        until = min(self.written, verifier.position + at_most)
        with self._told(), self._data.open("rb", buffering=0) as file:
            file.seek(verifier.position)
            while verifier.position < until:
                piece = file.read(min(READ_BYTES, until - verifier.position))
                if not piece:
                    raise OSError(errno.EIO, "the file is shorter than what was written to it")
                verifier.feed(piece)
        return verifier.position == self.written

    def sync(self) -> None:
        try:
            with self._told():
                with self._data.open("r+b") as file:
                    os.fdatasync(file.fileno())
                with self._offset_file.open("r+b", buffering=0) as file:
                    file.write(b"%0*d\n" % (OFFSET_DIGITS, self.written))
                    os.fdatasync(file.fileno())
        except ProblemError:
            # After a failed sync nobody knows which of the bytes are on disk.
            self.rollback()
            raise
        self.offset = self.written

    def rollback(self) -> None:
        self.written = self.offset
        with self._told():
            self._cut()

    def become_blob(self) -> None:
        record = self._record
        (self._verifier or record.verifier()).finish()
        self._blobs.add(self._data, record.diff_id, record.size_bytes, compressed=record.compressed)
        with told(self._data):
            self._offset_file.unlink(missing_ok=True)
            sync_folder(self._data.parent)

    def forget_hash(self) -> None:
        self._verifier = None

    @contextmanager
    def _told(self) -> Iterator[None]:
        """As `told`; a file that somebody removed under us is `upload.removed`."""
        with told(self._data):
            try:
                yield
            except FileNotFoundError:
                raise problems.file_gone(self._record) from None

    def there(self) -> bool:
        return self._data.exists() and self._offset_file.exists()

    def _cut(self) -> None:
        if self._data.stat().st_size > self.offset:
            os.truncate(self._data, self.offset)
        if self._verifier is not None and self._verifier.position > self.offset:
            self._verifier = None
