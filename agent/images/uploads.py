"""Uploads: who writes which, from where on, and what becomes of it.

One upload is written by one request at a time. Bytes are written and hashed in threads while the
next ones arrive, at most two pieces at a time, so a slow disk slows the sender; they are synced
every 16 MiB, every second, and at each request's end, and only then counted.

Published ASGI tus servers were tried and do not fit. tussi 3.1.0 syncs, but gathers a PATCH in
memory (500 MB: 540 MB at its peak), so a slow disk slows nobody and a cut keeps nothing, and it has
no checksums, deferred lengths or DELETE. asgi-tus 0.1.0 does the same (64 MB: 158 MB and 28 s; 500
MB were not taken in 8 minutes) and never syncs.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import msgspec

from agent.images import upload_problems as problems
from agent.images.blobs import Blobs
from agent.images.intake import HASH_BYTES, Checksum, Intake
from agent.images.threads import Threads
from agent.images.upload_files import Receipt, Shelf
from agent.images.upload_record import UploadRecord, check_length
from agent.images.writer import Writer
from agent.protocol.problems import ProblemError

UPLOADS_LIMIT = 256
HASHES_KEPT = 4  # each may hold a window of 8 MiB
THREADS = 4
EXPIRY_SECONDS = 7 * 24 * 3600.0
CLEAN_EVERY_SECONDS = 3600.0
# A writer whose bytes stay away may sit on a connection that is gone: whoever asks next takes over.
SILENT_SECONDS = 2.0
STALLED_SECONDS = 60.0
# A sender that was away for so long has no claim to room for what it has not sent; when it comes
# back and there is none, it is told so then.
CLAIM_SECONDS = 15 * 60.0

Admit = Callable[[UploadRecord], None]


class UploadState(NamedTuple):
    """One upload, as callers see it."""

    record: UploadRecord
    offset: int  # durable bytes
    done: bool  # it has become a blob
    writing: bool
    expires_at: float  # Unix seconds


class _Upload:
    def __init__(self, record: UploadRecord, receipt: Receipt | None, *, idle: float) -> None:
        self.record = record
        self.receipt = receipt  # None: done
        self.writer: Writer | None = None
        self.touched_at = time.monotonic() - idle

    @property
    def offset(self) -> int:
        return (self.record.length_bytes or 0) if self.receipt is None else self.receipt.offset


class Uploads:
    """The uploads of one node. For one event loop; what blocks runs in its own threads.

    Args:
        admit: Asked before an upload begins, for a budget; raises ProblemError to refuse it.
        own_threads: Not the event loop's; thousands of simulated nodes share those.
    """

    def __init__(
        self,
        shelf: Shelf,
        blobs: Blobs,
        *,
        admit: Admit | None = None,
        expiry_seconds: float = EXPIRY_SECONDS,
        silent_seconds: float = SILENT_SECONDS,
        stalled_seconds: float = STALLED_SECONDS,
        claim_seconds: float = CLAIM_SECONDS,
        own_threads: bool = True,
    ) -> None:
        self._shelf, self._blobs, self._admit = shelf, blobs, admit
        self._threads = Threads(THREADS if own_threads else None)
        self._expiry_seconds = expiry_seconds
        self._silent_seconds, self._stalled_seconds = silent_seconds, stalled_seconds
        self._claim_seconds = claim_seconds
        self._uploads: dict[str, _Upload] = {}
        self._creating = asyncio.Lock()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._refusal: ProblemError | None = problems.not_ready()
        self._stopping = False

    async def start(self) -> None:
        """Find the uploads of before, finish those that are whole, drop the expired ones.

        Raises:
            ProblemError: `blob.storage`, `space.full`.
        """
        for record, receipt, touched_at in await self._threads.run(self._shelf.load):
            idle = max(0.0, time.time() - touched_at)
            self._uploads[record.id] = _Upload(record, receipt, idle=idle)
        self.open(None)
        self._tasks = [
            asyncio.create_task(self._finish_whole(), name="whole uploads"),
            asyncio.create_task(self._keep_clean(), name="expired uploads"),
        ]

    def open(self, refusal: ProblemError | None) -> None:
        """Take uploads from now on, or refuse all of them with that."""
        self._refusal = refusal

    async def stop(self) -> None:
        """End what is being written; its bytes stay."""
        self._stopping = True
        writers = [each.writer for each in self._uploads.values() if each.writer is not None]
        for writer in writers:
            await writer.end(problems.stopping())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.close()

    async def create(self, record: UploadRecord) -> UploadState:
        """Begin an upload, or find the one that the same encoder began for that layer.

        Raises:
            ProblemError: `blob.exists`, `upload.locked`, `upload.too_many`, `space.full`,
                `blob.storage`, `node.not_ready`, and what `admit` raises.
        """
        self.check_open()
        async with self._creating:
            await self.drop_expired()
            if self._blobs.has(record.diff_id):
                raise problems.exists(record.diff_id)
            for before in self._of(record.diff_id):
                await self._end_silent(before)
                if before.writer is not None:
                    raise problems.locked(before.record)
                same = before.record.encoder == record.encoder
                if same and await self._is_there(before):
                    return self._state(before)
                await self._drop(before)
            if sum(each.receipt is not None for each in self._uploads.values()) >= UPLOADS_LIMIT:
                raise problems.too_many(UPLOADS_LIMIT)
            if self._admit is not None:
                self._admit(record)
            await self._check_space(record)
            receipt = await self._threads.run(self._shelf.begin, record)
            upload = self._uploads[record.id] = _Upload(record, receipt, idle=0)
        if record.length_bytes == 0:
            return await self.receive(record.id, 0, _nothing())
        return self._state(upload)

    def state(self, upload_id: str) -> UploadState:
        """Raises ProblemError `upload.not_found`, `node.not_ready`."""
        return self._state(self._known(upload_id))

    def find(self, diff_id: str) -> UploadState | None:
        """The upload under way for a layer."""
        for upload in self._of(diff_id):
            if upload.receipt is not None:
                return self._state(upload)
        return None

    def encoder_of(self, diff_id: str) -> str | None:
        """What made the bytes that a blob is stored as; None: that is not known any more."""
        for upload in self._of(diff_id):
            if upload.receipt is None:
                return upload.record.encoder
        return None

    async def settled(self, upload_id: str) -> UploadState:
        """As `state`, after ending a writer from which nothing comes any more."""
        upload = self._known(upload_id)
        await self._end_silent(upload)
        return self.state(upload_id)

    async def receive(
        self,
        upload_id: str,
        offset: int,
        chunks: AsyncIterator[bytes],
        *,
        length: int | None = None,
        checksum: Checksum | None = None,
    ) -> UploadState:
        """Take bytes from `offset` on, and make a blob of them when they are the last.

        Whatever ends it early, the bytes so far are kept, with a `checksum` none of them.

        Raises:
            ProblemError: `upload.*`, `blob.*` (then nothing of the upload stays), `space.full`,
                and what `chunks` raises.
        """
        upload = self._known(upload_id)
        await self._end_silent(upload)
        if upload.writer is not None:
            raise problems.locked(upload.record)
        if offset != upload.offset:
            raise problems.wrong_offset(offset, upload.offset)
        if length is not None:
            _check_new_length(upload.record, length, offset)
        writer = upload.writer = Writer()
        self._tell()
        work = self._write(upload, writer, chunks, length=length, checksum=checksum)
        try:
            await writer.run(work, stalled_seconds=self._stalled_seconds)
        finally:
            upload.writer = None
            upload.touched_at = time.monotonic()
            writer.released.set()
            self._tell()
        return self._state(upload)

    async def remove(self, upload_id: str) -> None:
        """End and forget it. A blob that it has become stays. Raises `upload.not_found`."""
        await self._drop(self._known(upload_id))

    def idle(self, seconds: float) -> list[UploadState]:
        """Those of which a part has come, and to which nobody has written for so long.

        The one that was left first is first.
        """
        now = time.monotonic()
        found = [
            each
            for each in self._uploads.values()
            if each.receipt is not None
            and each.offset
            and each.writer is None
            and now - each.touched_at >= seconds
        ]
        return [self._state(each) for each in sorted(found, key=lambda each: each.touched_at)]

    async def drop_idle(self, diff_id: str) -> bool:
        """Forget the upload of a layer, unless somebody writes to it; whether it is gone."""
        for upload in self._of(diff_id):
            if upload.receipt is not None and upload.writer is None:
                await self._drop(upload)
                return True
        return False

    async def drop_expired(self) -> None:
        """Forget the uploads that nobody went on with in time."""
        for upload in list(self._uploads.values()):
            idle = time.monotonic() - upload.touched_at
            if upload.writer is None and idle > self._expiry_seconds:
                await self._drop(upload)

    async def next_change(self) -> None:
        """Wait until bytes arrive somewhere, or an upload begins, ends or becomes a blob."""
        await self._changed.wait()

    async def _write(
        self,
        upload: _Upload,
        writer: Writer,
        chunks: AsyncIterator[bytes],
        *,
        length: int | None,
        checksum: Checksum | None,
    ) -> None:
        if length is not None and length != upload.record.length_bytes:
            record = msgspec.structs.replace(upload.record, length_bytes=length)
            await self._threads.run(self._shelf.rewrite, record)
            upload.record = record
        receipt = upload.receipt
        if receipt is None:  # done, and the sender did not hear of it
            return
        try:
            intake = Intake(receipt, upload.record, checksum)
            try:
                await writer.take(intake, chunks, self._threads, progressed=self._tell)
            except BaseException:
                await self._threads.run(intake.salvage)
                raise
            await self._threads.run(intake.finish)
            if receipt.offset == upload.record.length_bytes:
                await self._become_blob(upload, receipt)
        except ProblemError as problem:
            if problem.code in problems.SPOILT:
                upload.writer = None
                await self._drop(upload)
            raise
        self._keep_few_hashes(upload)

    async def _become_blob(self, upload: _Upload, receipt: Receipt) -> None:
        while not await self._threads.run(receipt.verify, at_most=HASH_BYTES):
            if self._stopping:
                raise problems.stopping()
        await self._threads.run(receipt.become_blob)
        upload.receipt = None

    def _keep_few_hashes(self, latest: _Upload) -> None:
        latest.touched_at = time.monotonic()
        idle = [each for each in self._uploads.values() if each.writer is None]
        idle.sort(key=lambda each: each.touched_at, reverse=True)
        for upload in idle[HASHES_KEPT:]:
            if upload.receipt is not None:
                upload.receipt.forget_hash()

    async def _check_space(self, record: UploadRecord) -> None:
        free = await self._threads.run(self._shelf.free_bytes)
        now = time.monotonic()
        # Of an unknown length nothing is sure but what is written.
        to_come = sum(
            (each.record.length_bytes or 0) - each.offset
            for each in self._uploads.values()
            if each.record.length_bytes
            and (each.writer is not None or now - each.touched_at < self._claim_seconds)
        )
        if free is not None and to_come + (record.length_bytes or 0) > free:
            raise problems.no_space(record, free, to_come)

    async def _end_silent(self, upload: _Upload) -> None:
        writer = upload.writer
        if writer is not None and writer.silent_for() > self._silent_seconds:
            await writer.end(problems.taken_over())
            await writer.released.wait()

    async def _is_there(self, upload: _Upload) -> bool:
        return upload.receipt is not None and await self._threads.run(upload.receipt.there)

    async def _drop(self, upload: _Upload) -> None:
        # First out of reach, so that nobody begins to write while the writer ends.
        self._uploads.pop(upload.record.id, None)
        if upload.writer is not None:
            await upload.writer.end(problems.removed())
        await self._threads.run(self._shelf.remove, upload.record.id)
        self._tell()

    async def _finish_whole(self) -> None:
        for upload in list(self._uploads.values()):
            whole = upload.receipt is not None and upload.offset == upload.record.length_bytes
            if whole and upload.writer is None:
                with contextlib.suppress(ProblemError):
                    await self.receive(upload.record.id, upload.offset, _nothing())

    async def _keep_clean(self) -> None:
        while True:
            with contextlib.suppress(ProblemError):
                await self.drop_expired()
            await asyncio.sleep(CLEAN_EVERY_SECONDS)

    def check_open(self) -> None:
        """Raises ProblemError where uploads are refused now: why."""
        if self._refusal is not None:
            raise self._refusal

    def _known(self, upload_id: str) -> _Upload:
        self.check_open()
        upload = self._uploads.get(upload_id)
        if upload is None:
            raise problems.not_found(upload_id)
        return upload

    def _of(self, diff_id: str) -> list[_Upload]:
        return [each for each in self._uploads.values() if each.record.diff_id == diff_id]

    def _state(self, upload: _Upload) -> UploadState:
        idle = time.monotonic() - upload.touched_at
        return UploadState(
            record=upload.record,
            offset=upload.offset,
            done=upload.receipt is None,
            writing=upload.writer is not None,
            expires_at=time.time() + self._expiry_seconds - idle,
        )

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for chunk in nothing:
        yield chunk


def _check_new_length(record: UploadRecord, length: int, offset: int) -> None:
    if record.length_bytes is not None:
        if length != record.length_bytes:
            raise problems.wrong_length(length, record.length_bytes)
        return
    if length < offset:
        raise problems.wrong_length(length, offset)
    check_length(record, length)
