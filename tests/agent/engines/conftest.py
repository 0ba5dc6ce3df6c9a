"""A model, a side over a stand-in, and a Docker Engine with Python and TensorRT-RTX."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import onnx_made
from tests.agent.engines.engine_side import A10, EngineSide, Node, engine_side, stand_in
from tests.agent.workloads.workload_side import HOOK
from tests.real import python_image
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure


@pytest.fixture
def onnx(tmp_path: Path) -> Path:
    """The smallest model."""
    path = tmp_path / "detector.onnx"
    path.write_bytes(onnx_made.detector(blocks=1))
    return path


@pytest.fixture
def node() -> Node:
    """With one GPU."""
    return Node(gpus=[A10])


@pytest.fixture
async def side(tmp_path: Path, node: Node) -> AsyncIterator[EngineSide]:
    """That node's, over a stand-in for a builder."""
    async with engine_side(tmp_path, [stand_in(tmp_path)], node=node) as made:
        yield made


@pytest.fixture(scope="package")
def image_engine(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[DockerEngine]:
    """With a stub of NVIDIA's hook, busybox and the images of `tests.real.python_image`."""
    with ExitStack() as stack:
        enclosure = Enclosure(make_short_folder(), network=True)
        stack.callback(enclosure.close)
        engine = DockerEngine(enclosure)
        engine.add_hook("nvidia-container-runtime-hook", HOOK.format(folder=engine.folder))
        engine.start()
        engine.load_busybox()
        python_image.load(engine)
        yield engine


@pytest.fixture
def engine(image_engine: DockerEngine) -> Iterator[DockerEngine]:
    """That engine, without containers."""
    yield image_engine
    image_engine.clear()
