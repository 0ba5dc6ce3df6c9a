"""Uploads: what is kept, what is refused, and who may write."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.images.blobs import BlobStore
from agent.images.intake import Checksum
from agent.images.node_images import NodeImages
from agent.images.upload_files import FileShelf
from agent.images.upload_record import new_record
from agent.images.uploads import Uploads
from agent.protocol.problems import ProblemError
from tests.agent.doubles import images_in_folder
from tests.agent.images.layers import compressed, diff_id, noise, pieces, plain_record, zstd_record

LAYER = noise(3_000_000)
TEXT = b"compresses well\n" * 200_000


@pytest.fixture
async def images(tmp_path: Path) -> AsyncIterator[NodeImages]:
    made = images_in_folder(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def broken_off(data: bytes) -> AsyncIterator[bytes]:
    async for piece in pieces(data):
        yield piece
    raise ProblemError("upload.cut", "gone", hint="")


class Slowly:
    """Chunks that come when the test says so."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self.queue.get()) is not None:
            yield chunk
            self.queue.task_done()


def code(raised: pytest.ExceptionInfo[ProblemError]) -> str:
    return raised.value.code


def names(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


async def test_a_plain_layer_becomes_a_blob(images: NodeImages, tmp_path: Path) -> None:
    state = await images.uploads.create(plain_record(LAYER))
    state = await images.uploads.receive(state.record.id, 0, pieces(LAYER))
    assert (state.offset, state.done, state.writing) == (len(LAYER), True, False)
    with images.blobs.open(diff_id(LAYER)) as file:
        assert file.read() == LAYER
    assert names(tmp_path / "uploads") == [".json"]  # so that HEAD still knows it


async def test_a_compressed_layer_of_unknown_length(images: NodeImages) -> None:
    packed = compressed(TEXT)
    made = await images.uploads.create(zstd_record(TEXT))
    first = await images.uploads.receive(made.record.id, 0, pieces(packed))
    assert (first.offset, first.done) == (len(packed), False)
    last = await images.uploads.receive(
        made.record.id, len(packed), pieces(b""), length=len(packed)
    )
    assert last.done
    assert images.blobs.get(diff_id(TEXT)).size_bytes == len(TEXT)


async def test_an_empty_layer_is_whole_when_it_begins(images: NodeImages) -> None:
    state = await images.uploads.create(plain_record(b""))
    assert state.done
    assert images.blobs.has(diff_id(b""))


async def test_a_cut_request_keeps_its_bytes(images: NodeImages) -> None:
    made = await images.uploads.create(plain_record(LAYER))
    with pytest.raises(ProblemError) as raised:
        await images.uploads.receive(made.record.id, 0, broken_off(LAYER[:1_234_567]))
    assert code(raised) == "upload.cut"
    state = images.uploads.state(made.record.id)
    assert state.offset == 1_234_567
    done = await images.uploads.receive(made.record.id, state.offset, pieces(LAYER[state.offset :]))
    assert done.done


async def test_a_cut_request_with_a_checksum_keeps_nothing(images: NodeImages) -> None:
    made = await images.uploads.create(plain_record(LAYER))
    checksum = Checksum("sha256", hashlib.sha256(LAYER).digest())
    with pytest.raises(ProblemError):
        await images.uploads.receive(
            made.record.id, 0, broken_off(LAYER[:1_000_000]), checksum=checksum
        )
    assert images.uploads.state(made.record.id).offset == 0
    assert (await images.uploads.receive(made.record.id, 0, pieces(LAYER), checksum=checksum)).done


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_a_wrong_checksum_keeps_what_was_there_before(
    images: NodeImages, algorithm: str
) -> None:
    made = await images.uploads.create(plain_record(LAYER))
    await images.uploads.receive(made.record.id, 0, pieces(LAYER[:1000]))
    wrong = Checksum(algorithm, b"x" * 20)
    with pytest.raises(ProblemError) as raised:
        await images.uploads.receive(made.record.id, 1000, pieces(LAYER[1000:]), checksum=wrong)
    assert code(raised) == "upload.checksum"
    assert images.uploads.state(made.record.id).offset == 1000
    right = Checksum(algorithm, hashlib.new(algorithm, LAYER[1000:]).digest())
    done = await images.uploads.receive(made.record.id, 1000, pieces(LAYER[1000:]), checksum=right)
    assert done.done


async def test_a_wrong_offset_is_told_the_right_one(images: NodeImages) -> None:
    made = await images.uploads.create(plain_record(LAYER))
    await images.uploads.receive(made.record.id, 0, pieces(LAYER[:1000]))
    with pytest.raises(ProblemError) as raised:
        await images.uploads.receive(made.record.id, 0, pieces(LAYER))
    assert (code(raised), raised.value.params) == ("upload.offset", {"offset": 1000})


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (LAYER[:-1] + b"x", "blob.digest"),
        (compressed(LAYER), "upload.too_large"),
    ],
)
async def test_other_bytes_never_become_a_blob(
    images: NodeImages, sent: bytes, expected: str
) -> None:
    made = await images.uploads.create(plain_record(LAYER))
    with pytest.raises(ProblemError) as raised:
        await images.uploads.receive(made.record.id, 0, pieces(sent))
    assert code(raised) == expected
    assert images.blobs.list() == []


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (compressed(TEXT + b"!"), "blob.size"),
        (compressed(TEXT[:-1]), "blob.size"),
        (compressed(TEXT[:-1] + b"!"), "blob.digest"),
        (compressed(TEXT)[:-9], "blob.encoding"),
        (b"no zstd at all", "blob.encoding"),
    ],
)
async def test_a_compressed_layer_that_is_another_one_leaves_nothing(
    images: NodeImages, tmp_path: Path, sent: bytes, expected: str
) -> None:
    made = await images.uploads.create(zstd_record(TEXT, length=len(sent)))
    with pytest.raises(ProblemError) as raised:
        await images.uploads.receive(made.record.id, 0, pieces(sent))
    assert code(raised) == expected
    assert names(tmp_path / "uploads") == names(tmp_path / "blobs") == []
    with pytest.raises(ProblemError, match="no upload"):
        images.uploads.state(made.record.id)


async def test_a_bomb_is_cut_off_at_the_size_it_was_said_to_have(images: NodeImages) -> None:
    bomb = compressed(bytes(300_000_000))
    assert len(bomb) < 20_000
    said = {"diff_id": diff_id(b"x"), "size": "100000", "encoder": "zstd"}
    made = await images.uploads.create(new_record(said, length=len(bomb), header=""))
    with pytest.raises(ProblemError) as raised:
        await images.uploads.receive(made.record.id, 0, pieces(bomb))
    assert code(raised) == "blob.size"


async def test_more_than_the_length_is_refused(images: NodeImages) -> None:
    made = await images.uploads.create(zstd_record(TEXT))
    # A frame that decoders skip: it decodes to nothing, so only the length stops it.
    skipped = b"\x50\x2a\x4d\x18" + (2**30).to_bytes(4, "little") + bytes(made.record.limit_bytes)
    with pytest.raises(ProblemError) as raised:
        await images.uploads.receive(made.record.id, 0, pieces(skipped))
    assert code(raised) == "upload.too_large"


async def test_the_same_encoder_resumes_and_another_begins_anew(images: NodeImages) -> None:
    packed = compressed(noise(1_000_000))
    layer = noise(1_000_000)
    first = await images.uploads.create(zstd_record(layer, encoder="zstd-1/level3"))
    await images.uploads.receive(first.record.id, 0, pieces(packed[:1000]))
    again = await images.uploads.create(zstd_record(layer, encoder="zstd-1/level3"))
    assert (again.record.id, again.offset) == (first.record.id, 1000)
    other = await images.uploads.create(zstd_record(layer, encoder="zstd-2/level3"))
    assert (other.record.id != first.record.id, other.offset) == (True, 0)
    with pytest.raises(ProblemError, match="no upload"):
        images.uploads.state(first.record.id)


async def test_a_layer_that_is_there_is_not_taken_again(images: NodeImages) -> None:
    made = await images.uploads.create(plain_record(LAYER))
    await images.uploads.receive(made.record.id, 0, pieces(LAYER))
    with pytest.raises(ProblemError) as raised:
        await images.uploads.create(plain_record(LAYER))
    assert code(raised) == "blob.exists"


async def test_one_request_writes_at_a_time(images: NodeImages) -> None:
    made = await images.uploads.create(zstd_record(LAYER))
    slowly = Slowly()
    writing = asyncio.create_task(images.uploads.receive(made.record.id, 0, slowly.chunks()))
    await asyncio.sleep(0)
    assert images.uploads.state(made.record.id).writing
    with pytest.raises(ProblemError) as raised:
        await images.uploads.receive(made.record.id, 0, pieces(b"x"))
    assert code(raised) == "upload.locked"
    for encoder in ("zstd-a", "zstd-b"):
        with pytest.raises(ProblemError) as raised:
            await images.uploads.create(zstd_record(LAYER, encoder=encoder))
        assert code(raised) == "upload.locked"
    slowly.queue.put_nowait(None)
    await writing


@pytest.mark.parametrize("asked", ["HEAD", "POST"])
async def test_a_silent_writer_gives_way_and_keeps_its_bytes(tmp_path: Path, asked: str) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    uploads = Uploads(FileShelf(tmp_path / "uploads", blobs), blobs, silent_seconds=0)
    await uploads.start()
    made = await uploads.create(plain_record(LAYER))
    slowly = Slowly()
    slowly.queue.put_nowait(LAYER[:700_000])
    silent = asyncio.create_task(uploads.receive(made.record.id, 0, slowly.chunks()))
    await slowly.queue.join()
    state = await (
        uploads.settled(made.record.id) if asked == "HEAD" else uploads.create(plain_record(LAYER))
    )
    assert (state.record, state.offset, state.writing) == (made.record, 700_000, False)
    with pytest.raises(ProblemError) as raised:
        await silent
    assert code(raised) == "upload.taken_over"
    await uploads.stop()


async def test_a_writer_from_whom_nothing_comes_is_ended(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    uploads = Uploads(FileShelf(tmp_path / "uploads", blobs), blobs, stalled_seconds=0.1)
    await uploads.start()
    made = await uploads.create(plain_record(LAYER))
    slowly = Slowly()
    slowly.queue.put_nowait(b"abc")
    with pytest.raises(ProblemError) as raised:
        await uploads.receive(made.record.id, 0, slowly.chunks())
    assert (code(raised), uploads.state(made.record.id).offset) == ("upload.stalled", 3)
    await uploads.stop()


async def test_removing_ends_the_writer(images: NodeImages, tmp_path: Path) -> None:
    made = await images.uploads.create(plain_record(LAYER))
    slowly = Slowly()
    slowly.queue.put_nowait(b"abc")
    writing = asyncio.create_task(images.uploads.receive(made.record.id, 0, slowly.chunks()))
    await asyncio.sleep(0.01)
    await images.uploads.remove(made.record.id)
    with pytest.raises(ProblemError) as raised:
        await writing
    assert code(raised) == "upload.removed"
    assert names(tmp_path / "uploads") == []


async def test_a_cancelled_request_keeps_its_bytes(images: NodeImages) -> None:
    made = await images.uploads.create(plain_record(LAYER))
    slowly = Slowly()
    slowly.queue.put_nowait(LAYER[:600_000])
    writing = asyncio.create_task(images.uploads.receive(made.record.id, 0, slowly.chunks()))
    await slowly.queue.join()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert images.uploads.state(made.record.id).offset == 600_000


async def test_uploads_go_on_after_a_restart(images: NodeImages, tmp_path: Path) -> None:
    packed = compressed(LAYER)
    made = await images.uploads.create(zstd_record(LAYER, length=len(packed)))
    await images.uploads.receive(made.record.id, 0, pieces(packed[:2_000_000]))
    await images.stop()
    again = images_in_folder(tmp_path)
    await again.start()
    state = again.uploads.find(diff_id(LAYER))
    assert state is not None
    assert (state.record, state.offset) == (made.record, 2_000_000)
    await again.uploads.receive(state.record.id, 2_000_000, pieces(packed[2_000_000:]))
    assert again.blobs.has(diff_id(LAYER))
    await again.stop()


async def test_an_upload_that_nobody_went_on_with_expires(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    uploads = Uploads(FileShelf(tmp_path / "uploads", blobs), blobs, expiry_seconds=0)
    await uploads.start()
    made = await uploads.create(plain_record(LAYER))
    await uploads.drop_expired()
    with pytest.raises(ProblemError, match="no upload"):
        uploads.state(made.record.id)
    assert names(tmp_path / "uploads") == []


async def test_who_is_away_for_long_holds_no_room_for_what_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    shelf = FileShelf(tmp_path / "uploads", blobs)
    free = 3 * len(LAYER) // 2
    monkeypatch.setattr(shelf, "free_bytes", lambda: free)
    for claim, refused in ((900.0, True), (0.0, False)):
        uploads = Uploads(shelf, blobs, claim_seconds=claim)
        await uploads.start()
        first = await uploads.create(plain_record(LAYER))
        if refused:
            with pytest.raises(ProblemError) as raised:
                await uploads.create(plain_record(LAYER[1:]))
            assert raised.value.params["to_come_bytes"] == len(LAYER)
        else:
            second = await uploads.create(plain_record(LAYER[1:]))
            await uploads.remove(second.record.id)
        await uploads.remove(first.record.id)
        await uploads.stop()


async def test_a_budget_may_refuse(tmp_path: Path) -> None:
    def refuse(record: object) -> None:
        raise ProblemError("space.full", "over the budget", hint="wait")

    images = images_in_folder(tmp_path, admit=refuse)
    await images.start()
    with pytest.raises(ProblemError, match="over the budget"):
        await images.uploads.create(plain_record(LAYER))
    await images.stop()


@pytest.mark.parametrize(
    ("said", "length"),
    [
        ({}, 5),
        ({"diff_id": "sha256:abc"}, 5),
        ({"diff_id": diff_id(b""), "encoder": "zstd"}, 5),
        ({"diff_id": diff_id(b"")}, None),
        ({"diff_id": diff_id(b""), "size": "-1"}, 5),
        ({"diff_id": diff_id(b""), "size": "6"}, 5),
        ({"diff_id": diff_id(b""), "encoder": "brotli", "size": "5"}, 5),
    ],
)
def test_an_upload_says_what_it_is(said: dict[str, str], length: int | None) -> None:
    with pytest.raises(ProblemError) as raised:
        new_record(said, length=length, header="")
    assert code(raised) == "upload.metadata"
    assert "diff_id" in (raised.value.hint or "")


@pytest.mark.parametrize(("size", "length"), [(str(2**45), None), ("100", 10**6)])
def test_a_length_that_cannot_be_is_refused(size: str, length: int | None) -> None:
    with pytest.raises(ProblemError) as raised:
        new_record(
            {"sha256": diff_id(b"")[7:], "size": size, "encoder": "zstd"}, length=length, header=""
        )
    assert code(raised) == "upload.too_large"


@pytest.mark.parametrize("lost", ["data", "offset"])
async def test_a_file_that_somebody_removed_is_begun_anew(
    images: NodeImages, tmp_path: Path, lost: str
) -> None:
    """Under an agent that runs: it need not be started again for that."""
    state = await images.uploads.create(plain_record(LAYER))
    with pytest.raises(ProblemError):
        await images.uploads.receive(state.record.id, 0, broken_off(LAYER[:1_000_000]))
    [file] = (tmp_path / "uploads").glob(f"*.{lost}")
    file.unlink()
    # Whoever asks for the offset first, and whoever goes on from what it knows.
    with pytest.raises(ProblemError) as raised:
        await images.uploads.receive(state.record.id, 1_000_000, pieces(LAYER[1_000_000:]))
    assert (code(raised), bool(raised.value.hint)) == ("upload.removed", True)
    again = await images.uploads.create(plain_record(LAYER))
    assert (again.record.id != state.record.id, again.offset) == (True, 0)
    done = await images.uploads.receive(again.record.id, 0, pieces(LAYER))
    assert done.done
    assert images.blobs.has(diff_id(LAYER))
    assert names(tmp_path / "uploads") == [".json"]


async def test_who_goes_on_with_an_upload_whose_file_is_gone_gets_a_new_one(
    images: NodeImages, tmp_path: Path
) -> None:
    state = await images.uploads.create(plain_record(LAYER))
    with pytest.raises(ProblemError):
        await images.uploads.receive(state.record.id, 0, broken_off(LAYER[:1_000_000]))
    for file in (tmp_path / "uploads").iterdir():
        file.unlink()
    again = await images.uploads.create(plain_record(LAYER))
    assert (again.record.id != state.record.id, again.offset) == (True, 0)
    assert (await images.uploads.receive(again.record.id, 0, pieces(LAYER))).done
