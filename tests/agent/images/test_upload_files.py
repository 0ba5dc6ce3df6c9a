"""Uploads on a disk that is slow, full or broken, and what a crash leaves."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.images.blobs import BlobStore
from agent.images.upload_files import FileReceipt, FileShelf
from agent.images.uploads import Uploads
from agent.images.writer import PIECE_BYTES
from agent.protocol.problems import ProblemError
from tests.agent.images.layers import noise, pieces, plain_record

LAYER = noise(5_000_000)


@pytest.fixture
def shelf(tmp_path: Path) -> FileShelf:
    blobs = BlobStore(tmp_path / "blobs")
    blobs.load()
    return FileShelf(tmp_path / "uploads", blobs)


@pytest.fixture
async def uploads(shelf: FileShelf) -> AsyncIterator[Uploads]:
    made = Uploads(shelf, shelf._blobs)
    await made.start()
    yield made
    await made.stop()


def fail_with(number: int) -> OSError:
    return OSError(number, os.strerror(number))


async def test_a_slow_disk_slows_the_sender(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on = threading.Event(), threading.Event()
    append = FileReceipt.append

    def slow(receipt: FileReceipt, data: bytes | bytearray) -> None:
        writing.set()
        go_on.wait()
        append(receipt, data)

    monkeypatch.setattr(FileReceipt, "append", slow)
    taken = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal taken
        async for piece in pieces(LAYER):
            taken += len(piece)
            yield piece

    made = await uploads.create(plain_record(LAYER))
    receiving = asyncio.create_task(uploads.receive(made.record.id, 0, chunks()))
    await asyncio.to_thread(writing.wait)
    # The loop has all the time it wants to take more.
    for _ in range(200):
        await asyncio.sleep(0)
    assert taken <= 2 * PIECE_BYTES
    go_on.set()
    assert (await receiving).done


async def test_a_disk_that_cannot_sync_acknowledges_nothing(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await uploads.create(plain_record(LAYER))
    await uploads.receive(made.record.id, 0, pieces(LAYER[:1000]))

    def broken(_: int) -> None:
        raise fail_with(errno.EIO)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        with pytest.raises(ProblemError) as raised:
            await uploads.receive(made.record.id, 1000, pieces(LAYER[1000:]))
    assert raised.value.code == "blob.storage"
    assert uploads.state(made.record.id).offset == 1000
    assert (await uploads.receive(made.record.id, 1000, pieces(LAYER[1000:]))).done


async def test_a_creation_on_a_full_disk_leaves_nothing(
    uploads: Uploads, shelf: FileShelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, __: bytes) -> None:
        raise fail_with(errno.ENOSPC)

    with monkeypatch.context() as patched:
        patched.setattr("agent.images.upload_files.write_whole", full)
        with pytest.raises(ProblemError) as raised:
            await uploads.create(plain_record(LAYER))
    assert raised.value.code == "space.full"
    assert list(shelf.folder.iterdir()) == []
    assert (await uploads.create(plain_record(LAYER))).offset == 0


async def test_a_blob_that_cannot_be_stored_is_stored_by_the_next_request(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await uploads.create(plain_record(LAYER))

    def full(_: Path) -> None:
        raise fail_with(errno.ENOSPC)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", lambda _, __: full(_))
        with pytest.raises(ProblemError) as raised:
            await uploads.receive(made.record.id, 0, pieces(LAYER))
    assert raised.value.code == "space.full"
    assert uploads.state(made.record.id).offset == len(LAYER)
    assert (await uploads.receive(made.record.id, len(LAYER), pieces(b""))).done


def test_what_was_not_acknowledged_is_cut_off(shelf: FileShelf) -> None:
    record = plain_record(LAYER)
    receipt = shelf.begin(record)
    receipt.append(LAYER[:3000])
    receipt.sync()
    receipt.append(LAYER[3000:4000])
    ((found, again, _),) = shelf.load()
    assert found == record
    assert again is not None
    assert (again.offset, again.written) == (3000, 3000)
    assert (shelf.folder / f"{record.id}.data").stat().st_size == 3000


def test_a_lost_offset_begins_at_nothing(shelf: FileShelf) -> None:
    record = plain_record(LAYER)
    receipt = shelf.begin(record)
    receipt.append(LAYER[:3000])
    (shelf.folder / f"{record.id}.offset").unlink()
    ((_, again, _),) = shelf.load()
    assert again is not None
    again.append(LAYER[:10])
    again.sync()
    assert again.offset == 10


@pytest.mark.parametrize("offset", [b"", b"garbage", b"%020d\n" % 10**9])
def test_an_offset_that_cannot_be_is_not_believed(shelf: FileShelf, offset: bytes) -> None:
    record = plain_record(LAYER)
    receipt = shelf.begin(record)
    receipt.append(LAYER[:3000])
    receipt.sync()
    (shelf.folder / f"{record.id}.offset").write_bytes(offset)
    ((_, again, _),) = shelf.load()
    assert again is not None
    assert again.offset == (3000 if len(offset) == 21 else 0)


def test_strays_are_removed_and_records_that_mean_nothing(shelf: FileShelf) -> None:
    kept = plain_record(LAYER)
    shelf.begin(kept)
    lost = plain_record(noise(10))
    shelf.begin(lost)
    (shelf.folder / f"{lost.id}.data").unlink()
    for name in ("x.data", f"{'0' * 32}.json", f".{kept.id}.json.x1.tmp", "y.offset"):
        (shelf.folder / name).write_bytes(b"{}")
    assert [record.id for record, _, _ in shelf.load()] == [kept.id]
    assert sorted(path.name for path in shelf.folder.iterdir()) == [
        f"{kept.id}.{kind}" for kind in ("data", "json", "offset")
    ]


async def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "uploads").write_text("in the way", encoding="utf-8")
    blobs = BlobStore(tmp_path / "blobs")
    uploads = Uploads(FileShelf(tmp_path / "uploads", blobs), blobs)
    with pytest.raises(ProblemError) as raised:
        await uploads.start()
    assert raised.value.code == "blob.storage"
    uploads.open(raised.value)
    with pytest.raises(ProblemError, match="uploads"):
        await uploads.create(plain_record(LAYER))
    await uploads.stop()


def test_nothing_else_may_read_layers(shelf: FileShelf) -> None:
    shelf.begin(plain_record(LAYER))
    assert shelf.folder.stat().st_mode & 0o077 == 0
    assert shelf._blobs.folder.stat().st_mode & 0o077 == 0
