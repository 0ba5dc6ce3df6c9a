"""Real runtimes in the tests of this folder."""

from __future__ import annotations

import asyncio

import pytest

from agent.containers.connection import Patience
from agent.containers.docker_runtime import DockerRuntime
from agent.protocol.containers import Container
from agent.protocol.node import RuntimeFacts
from tests.real.busybox import IMAGE
from tests.real.runtime import PrivateRuntime
from tests.waiting import until

# Names of the fixtures.
BOTH = [
    pytest.param("docker_engine", marks=pytest.mark.real("docker"), id="docker"),
    pytest.param("podman_service", marks=pytest.mark.real("podman"), id="podman"),
]
# Those, and the Docker that keeps its images otherwise.
STORES = [
    *BOTH,
    pytest.param(
        "containerd_store",
        marks=[pytest.mark.real("containerd_store"), pytest.mark.runtimes],
        id="containerd",
    ),
]
PATIENCE = Patience(back_off_first=0.05, back_off_most=0.2, settle=0.5, answer=0.1)

Words = str


async def run(part: PrivateRuntime, name: str, *command: Words, options: str = "") -> str:
    """`docker run -d`; the container's id."""
    words = ("run", "-d", "--name", name, *options.split(), IMAGE, *command)
    return (await asyncio.to_thread(part.docker, *words)).splitlines()[-1]


async def sh(part: PrivateRuntime, name: str, script: str, options: str = "") -> str:
    """`docker run -d` of a shell script, without a network; the container's id."""
    return await run(part, name, "sh", "-c", script, options=f"--network none {options}")


async def docker(part: PrivateRuntime, *words: Words) -> str:
    """The `docker` command, off the loop."""
    return await asyncio.to_thread(part.docker, *words)


def by_name(runtime: DockerRuntime, name: str) -> Container | None:
    """The container as the runtime's table has it."""
    return next((one for one in runtime.containers().values() if one.name == name), None)


async def until_state(runtime: DockerRuntime, name: str, state: str | None) -> Container | None:
    """Wait until the table has the container in this state; None: not at all."""

    def there() -> bool:
        one = by_name(runtime, name)
        return (one.state if one else None) == state

    await until(there)
    return by_name(runtime, name)


async def until_reached(runtime: DockerRuntime) -> RuntimeFacts:
    """Wait until the runtime answers; its facts."""
    told = asyncio.Event()
    runtime.on_change(told.set)
    while (facts := await runtime.facts()).state != "ok":
        await told.wait()
        told.clear()
    return facts


def is_podman(part: PrivateRuntime) -> bool:
    """Whether this is Podman."""
    return part.name == "podman"
