"""A Docker Engine with a stub of NVIDIA's hook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.agent.workloads.workload_side import HOOK
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure


@pytest.fixture(scope="package")
def hooked(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[DockerEngine]:
    """A Docker Engine whose hook writes down what it is told, and fails on demand."""
    with ExitStack() as stack:
        enclosure = Enclosure(make_short_folder(), network=True)
        stack.callback(enclosure.close)
        engine = DockerEngine(enclosure)
        engine.add_hook("nvidia-container-runtime-hook", HOOK.format(folder=engine.folder))
        engine.start()
        engine.load_busybox()
        yield engine


@pytest.fixture
def engine(hooked: DockerEngine) -> Iterator[DockerEngine]:
    """That engine, without containers."""
    yield hooked
    (hooked.folder / "hook-fails").unlink(missing_ok=True)
    hooked.clear()
