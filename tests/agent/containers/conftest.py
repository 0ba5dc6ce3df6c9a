"""What the tests of containers share: a scripted runtime, and each real one in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.containers.docker_runtime import DockerRuntime
from tests.agent.containers.parts import BOTH, PATIENCE, STORES
from tests.agent.containers.scripted import ScriptedRuntime
from tests.real.runtime import PrivateRuntime


@pytest.fixture
def scripted(short_folder: Path) -> ScriptedRuntime:
    """Not listening yet."""
    return ScriptedRuntime(short_folder / "api.sock")


@pytest.fixture(params=BOTH)
def part(request: pytest.FixtureRequest) -> Iterator[PrivateRuntime]:
    """A real runtime without containers: Docker, then Podman."""
    runtime: PrivateRuntime = request.getfixturevalue(request.param)
    runtime.clear()
    yield runtime
    runtime.clear()


@pytest.fixture
async def runtime(part: PrivateRuntime) -> AsyncIterator[DockerRuntime]:
    """The agent's view of `part`, started."""
    made = DockerRuntime([part.url], patience=PATIENCE)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Iterator[PrivateRuntime]:
    """A real runtime with no image but the tests' own: graphdriver, Podman, containerd store."""
    runtime: PrivateRuntime = request.getfixturevalue(request.param)
    runtime.clear_images()
    yield runtime
    runtime.clear_images()


@pytest.fixture
async def images(store: PrivateRuntime) -> AsyncIterator[DockerRuntime]:
    """The agent's view of `store`, started."""
    made = DockerRuntime([store.url], patience=PATIENCE)
    await made.start()
    yield made
    await made.stop()
