"""What goes wrong around a load on a real runtime: a tag never names anything but a whole image."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.archives.writing import OpenLayer
from agent.containers.docker_runtime import DockerRuntime
from agent.images import loading
from agent.images.keeping import Keeper
from agent.images.space import disk_free
from agent.protocol.problems import ProblemError
from tests.agent.containers.parts import PATIENCE, docker, until_reached
from tests.agent.images.image_side import ImageSide, image_side
from tests.agent.images.layers import diff_id, noise
from tests.archives_made import Made, layer, tar
from tests.real.docker_engine import DockerEngine
from tests.real.fixtures import DockerEngineFactory
from tests.waiting import until

pytestmark = pytest.mark.real

MIB = 1024 * 1024
BASE = layer("base", 300_000)
OLD = Made([BASE, layer("old", 50_000)], tags=["app:1"])
NEW = Made([BASE, layer("new", 400_000)], tags=["app:1"])


class Midway:
    """Has something happen while a layer is read for the runtime, once."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[object]]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._happens = happens
        self.happened = False
        opened = Keeper.open

        def opening(keeper: Keeper, name: str) -> OpenLayer:
            layer = opened(keeper, name)
            read = layer.read

            def reading(count: int) -> bytes:
                if not self.happened:
                    self.happened = True
                    asyncio.run_coroutine_threadsafe(self._wait(), self._loop).result()
                return read(count)

            setattr(layer, "read", reading)  # noqa: B010 - mypy takes no assignment to a method
            return layer

        monkeypatch.setattr(Keeper, "open", opening)

    async def _wait(self) -> None:
        await self._happens()


async def old_id(side: ImageSide) -> str:
    job = await side.push(OLD)
    assert job.problem is None
    return job.result["app:1"]


async def test_a_base_that_is_removed_while_layers_come(
    docker_side: ImageSide, graphdriver: DockerEngine
) -> None:
    """The job asks for its layers, too; nobody has to begin anew."""
    side = docker_side
    await old_id(side)
    for blob in side.images.blobs.list():
        side.images.blobs.remove(blob.diff_id)
    job = await side.load(NEW)
    await side.at_stage(job, "receiving")
    await docker(graphdriver, "rmi", "app:1")
    assert await side.tags() == []
    await side.send(NEW.layers[1])
    while not (wanted := await side.send_wanted(NEW)):  # noqa: ASYNC110 - it says nothing
        await asyncio.sleep(0.05)
    assert wanted == [diff_id(BASE)]
    job = await side.ended(job)
    assert (job.state, job.problem) == ("succeeded", None)
    assert "once more" in await side.log(job)
    assert await side.tags() == ["app:1"]


async def test_a_base_that_is_removed_while_it_is_loaded(
    docker_side: ImageSide, graphdriver: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = docker_side
    await old_id(side)

    async def remove() -> None:
        await docker(graphdriver, "rmi", "app:1")

    midway = Midway(monkeypatch, remove)
    job = await side.push(NEW)  # the layers of the base are blobs still
    assert midway.happened
    assert (job.state, job.problem) == ("succeeded", None)
    image = await side.image("app:1")
    assert image is not None
    assert image.diff_ids == NEW.diff_ids


async def test_a_layer_that_is_evicted_while_others_come(docker_side: ImageSide) -> None:
    side = docker_side
    job = await side.load(NEW)
    await side.at_stage(job, "receiving")
    await side.send(BASE)
    await asyncio.to_thread(side.images.blobs.remove, diff_id(BASE))
    await side.send(NEW.layers[1])
    assert side.jobs.get(job.id).stage == "receiving"
    assert await side.send_wanted(NEW) == [diff_id(BASE)]
    job = await side.ended(job)
    assert (job.state, job.problem) == ("succeeded", None)


async def test_a_layer_that_vanishes_while_it_is_loaded(
    docker_side: ImageSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = docker_side

    async def remove() -> None:
        await asyncio.to_thread(side.images.blobs.remove, NEW.diff_ids[1])

    midway = Midway(monkeypatch, remove)
    job = await side.load(NEW)
    await side.send_wanted(NEW)
    await until(lambda: midway.happened)
    await side.at_stage(job, "receiving")
    assert await side.send_wanted(NEW) == [NEW.diff_ids[1]]
    job = await side.ended(job)
    assert (job.state, job.problem) == ("succeeded", None)
    assert "is not in the node's store" in await side.log(job)


async def test_a_layer_that_rots_on_the_disk(side: ImageSide, tmp_path: Path) -> None:
    """It was right when it came, and is not when it is loaded: it is asked for again.

    The containerd store moves the tag all the same; it is only the staging one.
    """
    job = await side.load(NEW)
    await side.at_stage(job, "receiving")
    await side.send(BASE)
    blob = tmp_path / "state" / "blobs" / diff_id(BASE)[7:]
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    await side.send(NEW.layers[1])
    while not (wanted := await side.send_wanted(NEW)):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert wanted == [diff_id(BASE)]
    job = await side.ended(job)
    assert (job.state, job.problem) == ("succeeded", None)
    assert "was damaged on this node's disk" in await side.log(job)
    assert await side.tags() == ["app:1"]


async def test_one_that_is_cancelled_halfway(
    side: ImageSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await old_id(side)
    cancelled = asyncio.Event()
    midway = Midway(monkeypatch, cancelled.wait)
    job = await side.load(NEW)
    await side.send_wanted(NEW)
    await until(lambda: midway.happened)
    await side.jobs.cancel(job.id, by="maria")
    cancelled.set()
    job = await side.ended(job)
    assert (job.state, job.problem) == ("cancelled", None)
    image = await side.image("app:1")
    assert image is not None
    assert image.id == old
    assert await side.tags() == ["app:1"]
    done = await side.ended(await side.jobs.retry(job.id, owner="maria"))
    assert (done.state, done.problem) == ("succeeded", None)
    assert done.result["app:1"] != old
    assert await side.tags() == ["app:1"]


async def test_a_config_that_no_runtime_takes(docker_side: ImageSide) -> None:
    """It says which layers it has, and is of no use otherwise."""
    side = docker_side
    old = await old_id(side)
    odd = Made(NEW.layers, tags=["app:1"])
    odd.config = odd.config.replace(b'"config":{"Cmd":["sh"]}', b'"config":{"Cmd":5}')
    job = await side.push(odd)
    assert job.state == "failed"
    assert job.problem is not None
    assert job.problem.code == "image.load_failed"
    assert job.problem.hint
    image = await side.image("app:1")
    assert image is not None
    assert image.id == old
    assert await side.tags() == ["app:1"]


async def test_dockerd_killed_in_the_middle_of_a_load_comes_back(
    docker_engine_factory: DockerEngineFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a supervisor starts it anew: the load is done once more, with no console."""
    engine = await asyncio.to_thread(docker_engine_factory)
    seen = DockerRuntime([engine.url], patience=PATIENCE)
    await seen.start()
    async with image_side(tmp_path / "state", seen) as side:
        old = await old_id(side)

        async def kill() -> None:
            await asyncio.to_thread(engine.kill)

        midway = Midway(monkeypatch, kill)
        job = await side.load(NEW)
        await side.send(NEW.layers[1])
        await side.at_stage(job, "no runtime")
        assert midway.happened
        await until(lambda: side.jobs.get(job.id).reason is not None)
        assert "it is waited for" in (side.jobs.get(job.id).reason or "")
        await asyncio.to_thread(engine.start)
        job = await side.ended(job)
        assert (job.state, job.problem, job.reason) == ("succeeded", None, None)
        assert job.result["app:1"] != old
        log = await side.log(job)
        assert "once it is back, that is done once more" in log
        assert "the runtime is back: once more" in log
        assert log.count("loading app:1") == 2
        image = await side.image("app:1")
        assert image is not None
        assert image.diff_ids == NEW.diff_ids
        assert await side.tags() == ["app:1"]
    await seen.stop()


async def test_dockerd_killed_in_the_middle_of_a_load_twice(
    docker_engine_factory: DockerEngineFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What kills it each time must not be done to it for ever."""
    engine = await asyncio.to_thread(docker_engine_factory)
    seen = DockerRuntime([engine.url], patience=PATIENCE)
    await seen.start()
    async with image_side(tmp_path / "state", seen) as side:
        old = await old_id(side)

        up = asyncio.Event()
        up.set()

        async def kill() -> None:
            await up.wait()  # who starts it waits for it
            await asyncio.to_thread(engine.kill)

        midway = Midway(monkeypatch, kill)
        job = await side.load(NEW)
        await side.send(NEW.layers[1])
        await side.at_stage(job, "no runtime")
        midway.happened = False
        up.clear()
        await asyncio.to_thread(engine.start)
        up.set()
        job = await side.ended(job)
        assert job.state == "failed"
        assert job.problem is not None
        assert (job.problem.code, bool(job.problem.hint)) == ("runtime.unreachable", True)
        assert midway.happened
        await asyncio.to_thread(engine.start)
        await until_reached(seen)
        assert await side.tags() == ["app:1"]
        image = await side.image("app:1")
        assert image is not None
        assert image.id == old
    await seen.stop()


async def test_dockerd_killed_in_the_middle_of_a_load_stays_away(
    docker_engine_factory: DockerEngineFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "RUNTIME_SECONDS", 2.0)
    engine = await asyncio.to_thread(docker_engine_factory)
    seen = DockerRuntime([engine.url], patience=PATIENCE)
    await seen.start()
    async with image_side(tmp_path / "state", seen) as side:
        old = await old_id(side)

        async def kill() -> None:
            await asyncio.to_thread(engine.kill)

        midway = Midway(monkeypatch, kill)
        job = await side.load(NEW)
        await side.send(NEW.layers[1])
        job = await side.ended(job)
        assert midway.happened
        assert (job.state, job.stage) == ("failed", "no runtime")
        assert job.problem is not None
        assert job.problem.code == "runtime.unreachable"
        assert "was not back within 2 s" in job.problem.detail
        assert f"roost job retry {job.id}" in (job.problem.hint or "")
        # What needs the runtime says so at once; the layers that came are kept.
        with pytest.raises(ProblemError) as raised:
            await side.load(NEW)
        assert raised.value.code == "runtime.unreachable"
        assert side.images.blobs.has(NEW.diff_ids[1])
        await asyncio.to_thread(engine.start)
        await until_reached(seen)
        assert await side.tags() == ["app:1"]
        image = await side.image("app:1")
        assert image is not None
        assert image.id == old
        again = await side.ended(await side.jobs.retry(job.id, owner="maria"))
        assert (again.state, again.problem) == ("succeeded", None)
        assert again.result["app:1"] != old
        assert await side.tags() == ["app:1"]
    await seen.stop()


@pytest.mark.real("filesystem")
async def test_the_runtime_has_no_room_in_the_middle(
    docker_engine_factory: DockerEngineFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else fills the disk after the space was reserved."""
    engine = await asyncio.to_thread(lambda: docker_engine_factory(start=False))
    small_disk(engine, 400)
    await asyncio.to_thread(engine.start)
    await asyncio.to_thread(engine.load_busybox)
    seen = DockerRuntime([engine.url], patience=PATIENCE)
    await seen.start()
    big = Made([BASE, tar({"big": noise(60 * MIB)})], tags=["app:1"])
    filler = engine.data / "filler"
    async with image_side(tmp_path / "state", seen) as side:
        # As an agent sees it that is not outside of the engine's mounts.
        inside = f"/proc/{engine.enclosure.pid}/root"
        side.images._space._free = lambda path: disk_free(Path(f"{inside}{path}"))
        old = await old_id(side)

        async def fill() -> None:
            fallocate = ["sh", "-c", f"dd if=/dev/zero of={filler} bs=1M 2>/dev/null; sync"]
            await asyncio.to_thread(lambda: engine.enter(*fallocate))
            await asyncio.to_thread(lambda: engine.enter("truncate", "-s", "-20M", str(filler)))

        midway = Midway(monkeypatch, fill)
        job = await side.load(big)
        await side.send(big.layers[1])
        job = await side.ended(job)
        assert midway.happened
        assert job.problem is not None
        assert (job.problem.code, bool(job.problem.hint)) == ("space.full", True)
        image = await side.image("app:1")
        assert image is not None
        assert image.id == old
        assert await side.tags() == ["app:1"]
        # Now it is known before.
        [problem] = (await side.plan(big)).problems
        assert problem.code == "space.short"
        assert problem.params["path"] == str(engine.data)
        with pytest.raises(ProblemError):
            await side.load(big)
        await asyncio.to_thread(lambda: engine.enter("rm", str(filler)))
        assert (await side.ended(await side.load(big))).problem is None
    await seen.stop()


def small_disk(engine: DockerEngine, mib: int) -> None:
    """A filesystem of its own for what the runtime keeps."""
    disk = engine.folder / "disk.img"
    with disk.open("wb") as file:
        file.truncate(mib * MIB)
    engine.data.mkdir()
    engine.enter("mkfs.ext4", "-q", str(disk))
    engine.enter("mount", "-o", "loop", str(disk), str(engine.data))
