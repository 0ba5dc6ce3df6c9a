"""A Docker Engine with an image that has Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.real import python_image
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure


@pytest.fixture(scope="package")
def python_engine(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[DockerEngine]:
    """With the plain image of `tests.real.python_image`."""
    with ExitStack() as stack:
        enclosure = Enclosure(make_short_folder(), network=True)
        stack.callback(enclosure.close)
        engine = DockerEngine(enclosure)
        engine.start()
        python_image.load_plain(engine)
        yield engine


@pytest.fixture
def engine(python_engine: DockerEngine) -> Iterator[DockerEngine]:
    """That engine, without containers."""
    yield python_engine
    python_engine.clear()
