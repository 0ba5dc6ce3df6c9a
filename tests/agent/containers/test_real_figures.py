"""CPU and memory of real containers: from their cgroup files, and from the runtime's streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.protocol.containers import ContainerFigures
from tests.agent.containers.parts import PATIENCE, docker, run, sh, until_state
from tests.real.runtime import PrivateRuntime
from tests.waiting import until

MIB = 1024 * 1024
BUSY = "sleep 600 & while :; do :; done"


@pytest.fixture
async def from_elsewhere(part: PrivateRuntime, tmp_path: Path) -> AsyncIterator[DockerRuntime]:
    """An agent that sees the socket and nothing of the machine's /proc and /sys."""
    made = DockerRuntime([part.url], root=tmp_path, patience=PATIENCE)
    await made.start()
    yield made
    await made.stop()


def streams() -> int:
    """How many of the runtime's streams of figures are followed."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return names.count("StatsStreams._follow")


async def figures(runtime: DockerRuntime) -> dict[str, ContainerFigures]:
    """The figures of busy and idle, by name, when everything is known."""
    while True:
        names = {one.id: one.name for one in runtime.containers().values()}
        found = {names[one.id]: one for one in await runtime.figures() if one.id in names}
        if found.keys() >= {"busy", "idle"} and not any(one.unknown for one in found.values()):
            return found
        await asyncio.sleep(0.1)


async def begin(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await sh(part, "busy", BUSY, options="--memory 64m")
    await run(part, "idle", "sleep", "600", options="--network none")
    await until_state(runtime, "busy", "running")
    await until_state(runtime, "idle", "running")


def check(found: dict[str, ContainerFigures]) -> None:
    busy, idle = found["busy"], found["idle"]
    assert busy.cpu_percent is not None
    assert idle.cpu_percent is not None
    assert 0 <= idle.cpu_percent < busy.cpu_percent
    assert busy.memory_limit_bytes == 64 * MIB
    assert idle.memory_limit_bytes is None
    for one in (busy, idle):
        assert one.memory_used_bytes is not None
        assert 0 < one.memory_used_bytes < 64 * MIB
    assert (busy.process_count, idle.process_count) == (2, 1)


async def test_from_cgroup_files(runtime: DockerRuntime, part: PrivateRuntime) -> None:
    await begin(runtime, part)
    found = await figures(runtime)
    check(found)
    assert streams() == 0
    assert (await runtime.details("busy")).figures is not None
    await docker(part, "kill", "busy")
    await until_state(runtime, "busy", "exited")
    assert [one.id for one in await runtime.figures()] == [found["idle"].id]


async def test_from_the_runtimes_streams(
    from_elsewhere: DockerRuntime, part: PrivateRuntime
) -> None:
    await begin(from_elsewhere, part)
    found = await figures(from_elsewhere)
    check(found)
    assert streams() == 2
    await docker(part, "kill", "busy")
    await until_state(from_elsewhere, "busy", "exited")
    assert [one.id for one in await from_elsewhere.figures()] == [found["idle"].id]
    await until(lambda: streams() == 1)
