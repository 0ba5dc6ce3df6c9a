"""A Docker Engine with images that have Python, and TensorRT-RTX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.agent.workloads.workload_side import HOOK
from tests.real import python_image
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure


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
