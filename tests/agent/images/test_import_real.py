"""Archives that lie on the node: each kind, and each way in which a stick goes wrong."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from agent.archives.layers import LayerReader
from agent.containers.docker_runtime import DockerRuntime
from agent.images import space
from agent.protocol.images import ImportRequest
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from tests.agent.containers.parts import PATIENCE
from tests.agent.images.image_side import ImageSide, files, image_side
from tests.agent.images.layers import diff_id
from tests.archives_made import COMPRESS, Made, docker_archive, layer, oci_archive
from tests.real.docker_engine import DockerEngine
from tests.real.runtime import PrivateRuntime
from tests.waiting import until

pytestmark = pytest.mark.real

BASE = layer("base", 600_000)
ONE = Made([BASE, layer("one", 400_000)], tags=["one:1"])
TWO = Made([BASE, layer("two", 300_000)], tags=["two:1", "two:latest"])


async def begin(side: ImageSide, path: Path) -> Job:
    return await side.images.import_from(ImportRequest(path=str(path)), owner="maria", key=None)


async def imported(side: ImageSide, path: Path) -> Job:
    return await side.ended(await begin(side, path))


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("compression", COMPRESS)
async def test_a_docker_archive(docker_side: ImageSide, tmp_path: Path, compression: str) -> None:
    data = COMPRESS[compression](docker_archive([ONE, TWO]))
    job = await imported(docker_side, written(tmp_path / "a.tar", data))
    assert (job.state, job.problem) == ("succeeded", None)
    assert sorted(job.result) == ["one:1", "two:1", "two:latest"]
    assert await docker_side.tags() == ["one:1", "two:1", "two:latest"]
    image = await docker_side.image("two:1")
    assert image is not None
    assert image.diff_ids == TWO.diff_ids
    # A plain archive is read where it lies; a compressed one goes by the blob store.
    kept = {blob.diff_id for blob in docker_side.images.blobs.list()}
    assert kept == (set() if compression == "none" else {*ONE.diff_ids, *TWO.diff_ids})
    assert files(tmp_path / "state") == []
    await until(lambda: docker_side.images._space._held == {})
    await until(lambda: docker_side.images._keeper.pinned() == set())


@pytest.mark.parametrize("outer", ["none", "gzip"])
async def test_an_oci_layout_on_each_store(
    side: ImageSide, store: PrivateRuntime, tmp_path: Path, outer: str
) -> None:
    data = COMPRESS[outer](oci_archive([ONE], "gzip"))
    job = await imported(side, written(tmp_path / "oci.tar", data))
    assert (job.state, job.problem) == ("succeeded", None)
    image = await side.image("one:1")
    assert image is not None
    assert image.diff_ids == ONE.diff_ids
    again = await imported(side, tmp_path / "oci.tar")
    assert again.result == job.result
    assert "is there already" in await side.log(again)


async def test_what_the_runtime_has_is_not_read_again(
    docker_side: ImageSide, tmp_path: Path
) -> None:
    await imported(docker_side, written(tmp_path / "one.tar", docker_archive([ONE])))
    path = written(tmp_path / "two.tar.gz", COMPRESS["gzip"](docker_archive([TWO])))
    job = await imported(docker_side, path)
    assert job.state == "succeeded"
    assert [blob.diff_id for blob in docker_side.images.blobs.list()] == [TWO.diff_ids[1]]


@pytest.mark.parametrize("path", ["stick/app.tar", "", "/stick\0/app.tar", "~/app.tar"])
async def test_what_is_no_whole_path_is_refused_at_once(docker_side: ImageSide, path: str) -> None:
    with pytest.raises(ProblemError) as raised:
        await docker_side.images.import_from(ImportRequest(path=path), owner="maria", key=None)
    assert (raised.value.code, bool(raised.value.hint)) == ("image.path", True)
    assert docker_side.jobs.newest() == []


async def test_what_is_no_archive(docker_side: ImageSide, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.tar")
    (tmp_path / "folder").mkdir()
    written(tmp_path / "text.tar", b"hello")
    whole = docker_archive([ONE])
    written(tmp_path / "cut.tar", whole[: len(whole) // 2])
    written(tmp_path / "cut.tar.gz", COMPRESS["gzip"](whole)[:200_000])
    foreign = Made([BASE], tags=["one:1"], architecture="arm64")
    written(tmp_path / "foreign.tar", docker_archive([foreign]))
    codes = {
        "fifo.tar": "archive.unreadable",
        "folder": "archive.",
        "text.tar": "archive.",
        "cut.tar": "archive.truncated",
        "cut.tar.gz": "archive.truncated",
        "foreign.tar": "archive.platform",
        "missing.tar": "archive.unreadable",
    }
    for name, code in codes.items():
        job = await imported(docker_side, tmp_path / name)
        assert job.state == "failed", name
        assert job.problem is not None
        assert job.problem.code.startswith(code), (name, job.problem)
        assert job.problem.hint, name
        assert name in job.problem.detail
    assert await docker_side.tags() == []
    assert files(tmp_path / "state") == []


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_a_file_that_gets_shorter_while_it_is_read(
    docker_side: ImageSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    """As one on a share does when somebody copies another one over it."""
    path = written(tmp_path / "a.tar", COMPRESS[compression](docker_archive([ONE])))
    read = LayerReader.read

    def cutting(reader: LayerReader, count: int) -> bytes:
        os.truncate(path, 10_000)
        return read(reader, min(count, 64 * 1024))

    monkeypatch.setattr(LayerReader, "read", cutting)
    job = await imported(docker_side, path)
    assert job.state == "failed"
    assert job.problem is not None
    assert job.problem.code.startswith("archive.")
    assert job.problem.hint
    assert await docker_side.tags() == []
    assert files(tmp_path / "state") == []


@pytest.mark.real("filesystem")
async def test_a_stick_that_is_pulled_out(
    graphdriver: DockerEngine, docker_side: ImageSide, short_folder: Path
) -> None:
    """A filesystem whose device is gone: reading gives an error of the disk."""
    disk, stick = short_folder / "disk", short_folder / "stick"
    stick.mkdir()
    enter = graphdriver.enter
    enter("truncate", "-s", "64M", str(disk))
    enter("mkfs.ext4", "-q", "-b", "4096", str(disk))
    enter("mount", "-o", "loop", str(disk), str(stick))
    try:
        path = short_folder / "big.tar"
        big = Made([BASE, layer("big", 20_000_000)], tags=["big:1"])
        path.write_bytes(docker_archive([big]))
        enter("cp", str(path), str(stick))
        enter("sync")
        os.truncate(disk, 8 * 1024 * 1024)
        enter("sh", "-c", "echo 3 >/proc/sys/vm/drop_caches")
        inside = Path(f"/proc/{graphdriver.enclosure.pid}/root{stick}")
        job = await imported(docker_side, inside / "big.tar")
        assert job.state == "failed"
        assert job.problem is not None
        assert job.problem.code in {"archive.unreadable", "archive.layer_corrupt"}
        assert job.problem.hint
        assert await docker_side.tags() == []
    finally:
        enter("umount", "-l", str(stick))


@pytest.mark.real("filesystem")
async def test_a_stick_that_is_unmounted_by_force_and_comes_back(
    graphdriver: DockerEngine,
    docker_side: ImageSide,
    short_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While its first layer is read. The tag stays what it was; with the stick in, it goes on."""
    path = written(short_folder / "new.tar", docker_archive([Made(ONE.layers, tags=["app:1"])]))
    old = (await docker_side.push(Made([TWO.layers[1]], tags=["app:1"]))).result["app:1"]
    disk, stick = short_folder / "disk", short_folder / "stick"
    stick.mkdir()
    enter = graphdriver.enter
    enter("truncate", "-s", "64M", str(disk))
    enter("mkfs.ext4", "-q", str(disk))
    mount = ("mount", "-o", "loop", str(disk), str(stick))
    enter(*mount)
    enter("cp", str(path), str(stick))
    read, pulled = LayerReader.read, threading.Event()

    def reading(reader: LayerReader, count: int) -> bytes:
        if not pulled.is_set():
            pulled.set()
            enter("umount", "-l", str(stick))
        return read(reader, count)

    monkeypatch.setattr(LayerReader, "read", reading)
    inside = Path(f"/proc/{graphdriver.enclosure.pid}/root{stick}")
    job = await imported(docker_side, inside / "new.tar")
    assert pulled.is_set()
    assert job.state == "failed"
    assert job.problem is not None
    assert (job.problem.code, bool(job.problem.hint)) == ("archive.unreadable", True)
    assert graphdriver.docker("inspect", "--format", "{{.Id}}", "app:1") == old
    assert await docker_side.tags() == ["app:1"]
    try:
        enter(*mount)
        again = await docker_side.ended(await docker_side.jobs.retry(job.id, owner="maria"))
        assert (again.state, again.problem) == ("succeeded", None)
        assert graphdriver.docker("inspect", "--format", "{{.Id}}", "app:1") != old
    finally:
        enter("umount", "-l", str(stick))


@pytest.mark.real("filesystem")
async def test_a_full_state_folder(graphdriver: DockerEngine, short_folder: Path) -> None:
    """Known before where it is full; told where somebody fills it meanwhile. No stray file."""
    state = short_folder / "state"
    state.mkdir()
    path = written(short_folder / "a.tar.gz", COMPRESS["gzip"](docker_archive([ONE])))
    graphdriver.enter("mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(state))
    inside = Path(f"/proc/{graphdriver.enclosure.pid}/root{state}")
    try:
        seen = DockerRuntime([graphdriver.url], patience=PATIENCE)
        await seen.start()
        async with image_side(inside, seen) as side:
            filler = inside / "filler"
            filler.write_bytes(bytes(150 * 1024 * 1024))
            job = await imported(side, path)
            assert job.problem is not None
            assert job.problem.code == "space.short"
            assert str(inside) in job.problem.detail
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(space, "SPARE_BYTES", -(10**9))
                await asyncio.to_thread(fill, filler)
                job = await imported(side, path)
            assert job.problem is not None
            assert (job.problem.code, bool(job.problem.hint)) == ("space.full", True)
            assert files(inside) == []
            assert await side.tags() == []
            filler.unlink()
            assert (await imported(side, path)).state == "succeeded"
        await seen.stop()
    finally:
        graphdriver.enter("umount", "-l", str(state))


def fill(filler: Path) -> None:
    """Leave only a little."""
    with filler.open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024 * 1024))
        except OSError:
            pass
    os.truncate(filler, filler.stat().st_size - 400_000)


async def test_one_that_is_cancelled_while_it_is_unpacked(
    docker_side: ImageSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.tar.gz", COMPRESS["gzip"](docker_archive([ONE])))
    read, reading = LayerReader.read, asyncio.Event()
    loop, cancelled = asyncio.get_running_loop(), threading.Event()

    def slowly(reader: LayerReader, count: int) -> bytes:
        loop.call_soon_threadsafe(reading.set)
        cancelled.wait()
        return read(reader, count)

    monkeypatch.setattr(LayerReader, "read", slowly)
    job = await begin(docker_side, path)
    await reading.wait()
    await docker_side.jobs.cancel(job.id, by="paul")
    cancelled.set()
    assert (await docker_side.ended(job)).state == "cancelled"
    await until(lambda: files(tmp_path / "state") == [])
    assert [diff_id(BASE)] != [blob.diff_id for blob in docker_side.images.blobs.list()]
    assert await docker_side.tags() == []
