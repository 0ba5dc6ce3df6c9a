"""Real runtimes, each with no image but the tests' own, and an image side over each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agent.containers.docker_runtime import DockerRuntime
from tests.agent.containers.parts import PATIENCE, STORES
from tests.agent.images.image_side import ImageSide, image_side
from tests.agent.images.loads import OLD, Loads
from tests.real.docker_engine import DockerEngine
from tests.real.runtime import PrivateRuntime


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Iterator[PrivateRuntime]:
    """Docker's graphdriver store, Podman, Docker's containerd store."""
    runtime: PrivateRuntime = request.getfixturevalue(request.param)
    runtime.clear_images()
    yield runtime
    runtime.clear_images()


@pytest.fixture
def graphdriver(docker_engine: DockerEngine) -> Iterator[DockerEngine]:
    """Only the Docker with the graphdriver store."""
    docker_engine.clear_images()
    yield docker_engine
    docker_engine.clear_images()


@pytest.fixture
async def side(store: PrivateRuntime, tmp_path: Path) -> AsyncIterator[ImageSide]:
    """The image side over `store`."""
    async for made in over(store, tmp_path / "state"):
        yield made


@pytest.fixture
async def docker_side(graphdriver: DockerEngine, tmp_path: Path) -> AsyncIterator[ImageSide]:
    """The image side over `graphdriver`."""
    async for made in over(graphdriver, tmp_path / "state"):
        yield made


@pytest.fixture
def loads(short_folder: Path, graphdriver: DockerEngine) -> Iterator[Loads]:
    """The agent has loaded OLD, and does not run."""
    made = Loads(short_folder, graphdriver)
    try:
        made.start()
        assert made.ended(made.load(OLD))["state"] == "succeeded"
        assert made.agent.stop() == 0
        yield made
    finally:
        made.agent.close()


async def over(runtime: PrivateRuntime, state: Path) -> AsyncIterator[ImageSide]:
    seen = DockerRuntime([runtime.url], patience=PATIENCE)
    await seen.start()
    async with image_side(state, seen) as made:
        yield made
    await seen.stop()
