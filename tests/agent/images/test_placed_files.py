"""Models and release files on the node: on their own, and as the last stage of a load."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from agent.archives.writing import OpenLayer
from agent.images import placed_files
from agent.images.keeping import KEPT_SECONDS, PLACED_SECONDS
from agent.images.placed_files import FilesOnDisk, Heard
from agent.protocol.images import ImportRequest, LoadRequest
from agent.protocol.jobs import Job
from agent.protocol.node_files import FileKind, NodeFile
from agent.protocol.problems import ProblemError
from tests.agent.doubles import FixedRuntime
from tests.agent.images.image_side import ImageSide, content, image_side
from tests.archives_made import Made, layer
from tests.bundles_made import make_bundle
from tests.waiting import until

MODEL = b"weights " * 20_000
APP = Made([layer("base"), layer("app")], tags=["app:1"])


def file_of(data: bytes, name: str = "plant/detector.onnx", kind: FileKind = "model") -> NodeFile:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return NodeFile(kind=kind, name=name, sha256=digest, size_bytes=len(data))


RELEASE = file_of(b"services: {}", "plant/app.yaml", "release")


def unheard(count: int) -> None:
    """Nobody listens."""


def put(files: FilesOnDisk, data: bytes, file: NodeFile | None = None) -> None:
    files.place(file or file_of(data), io.BytesIO(data), unheard)


@pytest.fixture
def files(tmp_path: Path) -> FilesOnDisk:
    return FilesOnDisk(tmp_path)


def lying(state: Path) -> list[str]:
    """All files below the two folders, hidden ones, too."""
    tops = [state / "models", state / "releases"]
    return sorted(
        str(path.relative_to(state)) for top in tops for path in top.rglob("*") if path.is_file()
    )


def test_a_file_is_placed_and_replaced(files: FilesOnDisk, tmp_path: Path) -> None:
    file = file_of(MODEL)
    [planned] = files.plan([file])
    assert (planned.state, planned.replaces) == ("place", False)
    assert lying(tmp_path) == []
    put(files, MODEL)
    place = tmp_path / "models" / "plant" / "detector.onnx"
    assert (planned.path, place.read_bytes()) == (str(place), MODEL)
    # Whoever the builder's container runs as reads it.
    assert (place.stat().st_mode & 0o777, place.parent.stat().st_mode & 0o777) == (0o644, 0o755)
    assert [(each.state, each.replaces) for each in files.plan([file])] == [("present", False)]
    # Another object over the same folder knows nothing yet, and reads it.
    assert FilesOnDisk(tmp_path).plan([file])[0].state == "present"

    changed = MODEL[:-1] + b"X"  # the same size
    assert [(each.state, each.replaces) for each in files.plan([file_of(changed)])] == [
        ("place", True)
    ]
    put(files, changed)
    assert place.read_bytes() == changed
    assert [each.name for each in files.list()] == ["plant/detector.onnx"]
    files.remove("model", "plant/detector.onnx")
    assert (files.list(), list((tmp_path / "models").iterdir())) == ([], [])
    with pytest.raises(ProblemError) as caught:
        files.remove("model", "plant/detector.onnx")
    assert caught.value.code == "file.not_found"


@pytest.mark.parametrize("wrong", [MODEL[:-1], MODEL + b"x", MODEL[:-1] + b"x"])
def test_other_content_leaves_what_was_there(
    files: FilesOnDisk, tmp_path: Path, wrong: bytes
) -> None:
    put(files, b"before")
    with pytest.raises(ProblemError) as caught:
        put(files, wrong, file_of(MODEL))
    assert caught.value.code == "file.broken"
    assert lying(tmp_path) == ["models/plant/detector.onnx"]
    assert (tmp_path / "models/plant/detector.onnx").read_bytes() == b"before"


def test_what_the_disk_has_is_read_back(
    files: FilesOnDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that keeps other bytes than it was given."""

    def sync(file: BinaryIO) -> None:
        file.seek(7)
        file.write(b"?")
        file.flush()

    monkeypatch.setattr(placed_files, "sync", sync)
    with pytest.raises(ProblemError) as caught:
        put(files, MODEL)
    assert caught.value.code == "file.broken"
    assert lying(tmp_path) == []


def test_a_full_disk_and_a_folder_in_the_way(files: FilesOnDisk, tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def read(self, count: int | None = -1, /) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ProblemError) as caught:
        files.place(file_of(MODEL), Full(), unheard)
    assert (caught.value.code, lying(tmp_path)) == ("space.full", [])
    (tmp_path / "models" / "plant" / "detector.onnx").mkdir(parents=True)
    with pytest.raises(ProblemError) as caught:
        put(files, MODEL)
    assert (caught.value.code, lying(tmp_path)) == ("blob.storage", [])


def test_what_a_crash_left_goes(files: FilesOnDisk, tmp_path: Path) -> None:
    put(files, MODEL)
    stray = tmp_path / "models" / "plant" / ".detector.onnx.abc.tmp"
    stray.write_bytes(b"half")
    assert [each.name for each in files.list()] == ["plant/detector.onnx"]
    files.tidy()
    assert lying(tmp_path) == ["models/plant/detector.onnx"]


@pytest.fixture
async def side(tmp_path: Path) -> AsyncIterator[ImageSide]:
    async with image_side(tmp_path / "state", FixedRuntime()) as made:
        yield made


async def ask(side: ImageSide, *files: NodeFile, images: tuple[Made, ...] = ()) -> Job:
    asked = LoadRequest(images=[content(made) for made in images], files=list(files))
    return await side.images.load(asked, owner="maria", key=None)


async def test_files_come_as_blobs_do(side: ImageSide, tmp_path: Path) -> None:
    file = file_of(MODEL)
    job = await ask(side, file, RELEASE, images=(APP,))
    plan = await side.images.plan(LoadRequest(images=[content(APP)], files=[file, RELEASE]))
    assert {layer.diff_id for layer in plan.wanted} == {
        *APP.diff_ids,
        file.sha256,
        RELEASE.sha256,
    }
    assert "files" in {purpose for need in plan.space for purpose in need.purposes}
    await side.send(*APP.layers, b"services: {}")
    await side.at_stage(job, "receiving")
    await side.send(MODEL)
    ended = await side.ended(job)
    assert (ended.state, ended.problem) == ("succeeded", None)
    assert ended.result.keys() == {"app:1", "model plant/detector.onnx", "release plant/app.yaml"}
    assert ended.subject == "app:1, model plant/detector.onnx, release plant/app.yaml"
    state = tmp_path / "state"
    assert lying(state) == ["models/plant/detector.onnx", "releases/plant/app.yaml"]
    # The release is last: it names all else.
    log = await side.log(ended)
    assert log.index("model plant/detector.onnx is") < log.index("release plant/app.yaml is")
    again = await side.images.plan(LoadRequest(images=[content(APP)], files=[file, RELEASE]))
    assert (again.is_there, again.wanted) == (True, [])


async def test_a_file_that_is_there_is_not_sent(side: ImageSide) -> None:
    file = file_of(MODEL)
    job = await ask(side, file)
    await side.send(MODEL)
    assert (await side.ended(job)).state == "succeeded"
    side.images.blobs.remove(file.sha256)
    again = await ask(side, file, RELEASE)
    await side.send(b"services: {}")
    ended = await side.ended(again)
    assert ended.state == "succeeded"
    assert "model plant/detector.onnx is there already" in await side.log(ended)


async def test_files_alone_need_no_runtime(side: ImageSide) -> None:
    async def away() -> None:
        raise ProblemError("runtime.unreachable", "it is away", hint="Start it.")

    side.runtime.images = away  # type: ignore[assignment, method-assign]  # a runtime that is away
    job = await ask(side, file_of(MODEL))
    await side.send(MODEL)
    assert (await side.ended(job)).state == "succeeded"


async def test_a_bundle_of_files_alone_is_imported_without_a_runtime(
    side: ImageSide, tmp_path: Path
) -> None:
    async def away() -> None:
        raise ProblemError("runtime.unreachable", "it is away", hint="Start it.")

    side.runtime.images = away  # type: ignore[assignment, method-assign]  # a runtime that is away
    files = {"model/detector.onnx": MODEL}
    bundle = await asyncio.to_thread(partial(make_bundle, tmp_path, [], files=files))
    request = ImportRequest(path=str(bundle))
    ended = await side.ended(await side.images.import_from(request, owner="maria", key=None))
    assert (ended.state, ended.problem) == ("succeeded", None)
    assert lying(tmp_path / "state") == ["models/detector.onnx"]
    noise = tmp_path / "noise.tar"
    await asyncio.to_thread(noise.write_bytes, b"no archive")
    for path in (noise, tmp_path / "gone.bundle"):
        request = ImportRequest(path=str(path))
        with pytest.raises(ProblemError) as caught:
            await side.images.import_from(request, owner="maria", key=None)
        assert caught.value.code == "runtime.unreachable"


async def test_what_files_came_as_goes_soon_after_they_are_placed(side: ImageSide) -> None:
    """Layers stay for releases to come; a site's others may fetch a file for a day."""
    file = file_of(MODEL)
    job = await ask(side, file, images=(APP,))
    await side.send(*APP.layers, MODEL)
    assert (await side.ended(job)).state == "succeeded"
    blobs = side.images.blobs
    for _ in range(2):  # also after somebody of its site has fetched it
        ages = {blob.diff_id: time.time() - blob.last_used_at for blob in blobs.list()}
        assert KEPT_SECONDS - PLACED_SECONDS <= ages[file.sha256] < KEPT_SECONDS
        assert all(ages[layer] < PLACED_SECONDS for layer in APP.diff_ids)
        blobs.touch(file.sha256)
    assert blobs.list()[0].diff_id == file.sha256, "it is the first to go"


@pytest.mark.timeout(60)
async def test_a_whole_release_is_one_request(side: ImageSide) -> None:
    many = [b"%d" % number for number in range(80)]
    job = await ask(side, *(file_of(data, f"m{data.decode()}.bin") for data in many))
    await side.send(*many)
    ended = await side.ended(job)
    assert (ended.state, len(ended.result)) == ("succeeded", 80)


async def test_requests_that_cannot_be(side: ImageSide) -> None:
    with pytest.raises(ProblemError) as caught:
        await ask(side)
    assert caught.value.code == "image.nothing"
    for other in (
        file_of(b"other"),
        file_of(MODEL, "plant"),
        file_of(MODEL, "plant/detector.onnx/x"),
    ):
        with pytest.raises(ProblemError) as caught:
            await ask(side, file_of(MODEL), other)
        assert caught.value.code == "file.clash"


async def test_a_cancelled_one_leaves_nothing(
    side: ImageSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, goes_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    place = FilesOnDisk.place

    def slow(self: FilesOnDisk, file: NodeFile, content: OpenLayer, heard: Heard) -> None:
        loop.call_soon_threadsafe(reached.set)
        asyncio.run_coroutine_threadsafe(goes_on.wait(), loop).result()
        place(self, file, content, heard)

    monkeypatch.setattr(FilesOnDisk, "place", slow)
    job = await ask(side, file_of(MODEL))
    await side.send(MODEL)
    await reached.wait()
    await side.jobs.cancel(job.id, by="maria")
    goes_on.set()
    assert (await side.ended(job)).state == "cancelled"
    files = cast("FilesOnDisk", side.images.files)
    await until(lambda: not lying(tmp_path / "state") and not files.list())
