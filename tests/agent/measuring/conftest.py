"""A Docker Engine with an image that has Python, and one that has HAProxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.real import gateway_image, python_image
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure


@pytest.fixture(scope="package")
def python_engine(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[DockerEngine]:
    """With the plain image of `tests.real.python_image`, and the gateway's."""
    with ExitStack() as stack:
        enclosure = Enclosure(make_short_folder(), network=True)
        stack.callback(enclosure.close)
        engine = DockerEngine(enclosure)
        engine.start()
        python_image.load_plain(engine)
        gateway_image.load(engine)
        yield engine


@pytest.fixture
def engine(python_engine: DockerEngine) -> Iterator[DockerEngine]:
    """That engine, without containers."""
    yield python_engine
    python_engine.clear()
    python_engine.enter("rm", "-rf", str(python_engine.folder / "traffic"))
