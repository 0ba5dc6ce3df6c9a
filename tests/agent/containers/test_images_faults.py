"""Loads that are cut, killed or find no room, on real runtimes: nothing is left that was named."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.protocol.problems import ProblemError
from tests.agent.containers.archives import docker_archive, layer
from tests.agent.containers.parts import PATIENCE
from tests.real.busybox import IMAGE
from tests.real.fixtures import (
    ContainerdStoreFactory,
    DockerEngineFactory,
    PodmanServiceFactory,
)
from tests.real.runtime import PrivateRuntime
from tests.waiting import until

STAGING = "roost.local/staging:1"
MIB = 1024 * 1024
DISK_MIB = 48
SMALL = docker_archive(STAGING, [layer("small")])
Factory = ContainerdStoreFactory | DockerEngineFactory | PodmanServiceFactory

FACTORIES = [
    pytest.param("docker_engine_factory", marks=pytest.mark.real("docker"), id="docker"),
    pytest.param("podman_service_factory", marks=pytest.mark.real("podman"), id="podman"),
    pytest.param(
        "containerd_store_factory",
        marks=[pytest.mark.real("containerd_store"), pytest.mark.runtimes],
        id="containerd",
    ),
]


@pytest.fixture(params=FACTORIES)
def unstarted(request: pytest.FixtureRequest) -> PrivateRuntime:
    """A runtime of the test's own, not started."""
    factory: Factory = request.getfixturevalue(request.param)
    return factory(start=False)


@asynccontextmanager
async def seen(part: PrivateRuntime) -> AsyncIterator[DockerRuntime]:
    """The agent's view of it."""
    runtime = DockerRuntime([part.url], patience=PATIENCE)
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop()


async def tags(runtime: DockerRuntime) -> list[str]:
    return [tag for image in await runtime.images() for tag in image.tags]


async def load_small(runtime: DockerRuntime) -> None:
    """What must still work after whatever happened."""
    await runtime.load_image(SMALL.chunks(), size_bytes=len(SMALL.data))
    await runtime.check_image(STAGING, diff_ids=SMALL.diff_ids)


async def test_killed_in_the_middle(unstarted: PrivateRuntime) -> None:
    part = unstarted
    await asyncio.to_thread(part.start)
    archive = docker_archive(STAGING, [layer("base"), layer("big", os.urandom(8 * MIB))])

    killing: list[asyncio.Task[None]] = []

    async def chunks() -> AsyncIterator[bytes]:
        for number, chunk in enumerate(archive.chunks(MIB)):
            if number == 4:
                killing.append(asyncio.create_task(asyncio.to_thread(part.kill)))
                await asyncio.shield(killing[0])
            yield chunk

    async with seen(part) as runtime:
        with pytest.raises(ProblemError) as raised:
            await runtime.load_image(chunks())
        assert raised.value.code == "runtime.unreachable"
        await killing[0]
        await asyncio.to_thread(part.start)
        assert await tags(runtime) == []
        await load_small(runtime)
        await runtime.load_image(archive.chunks())
        await runtime.check_image(STAGING, diff_ids=archive.diff_ids)


async def test_no_room(unstarted: PrivateRuntime) -> None:
    """The folder of images and containers is a small file system of its own."""
    part = unstarted
    disk = part.folder / "disk.img"
    with disk.open("wb") as file:
        file.truncate(DISK_MIB * MIB)
    part.data.mkdir()
    part.enter("mkfs.ext4", "-q", str(disk))
    part.enter("mount", "-o", "loop", str(disk), str(part.data))
    await asyncio.to_thread(part.start)
    big = docker_archive(STAGING, [layer("base"), layer("big", os.urandom(DISK_MIB * MIB))])
    async with seen(part) as runtime:
        with pytest.raises(ProblemError) as raised:
            await runtime.load_image(big.chunks(MIB))
        assert raised.value.code == "space.full"
        assert raised.value.status == 507
        assert await tags(runtime) == []
        await load_small(runtime)


async def test_an_archive_that_ends_in_the_middle(
    images: DockerRuntime, store: PrivateRuntime
) -> None:
    whole = docker_archive(STAGING, [layer("base"), layer("more")])
    before = await tags(images)
    for length in (0, 100, 512, len(whole.data) // 2, len(whole.data) - 20_000):
        with pytest.raises(ProblemError) as raised:
            await images.load_image(iter([whole.data[:length]]))
        assert raised.value.code == "image.load_failed", length
        assert await tags(images) == before
    await load_small(images)


async def test_an_archive_whose_reader_fails(images: DockerRuntime) -> None:
    whole = docker_archive(STAGING, [layer("base"), layer("more")])

    def chunks() -> Iterator[bytes]:
        yield whole.data[: len(whole.data) // 2]
        raise OSError(5, "the stick was pulled out")

    with pytest.raises(OSError, match="pulled out"):
        await images.load_image(chunks())
    assert await tags(images) == [IMAGE]
    await load_small(images)


async def test_a_load_that_is_cancelled(images: DockerRuntime) -> None:
    whole = docker_archive(STAGING, [layer("base"), layer("more")])
    reached = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield whole.data[: len(whole.data) // 2]
        reached.set()
        await asyncio.Event().wait()

    loading = asyncio.create_task(images.load_image(chunks()))
    await until(reached.is_set)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    await load_small(images)
    assert sorted(await tags(images)) == sorted([IMAGE, STAGING])
