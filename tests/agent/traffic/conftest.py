"""A Docker Engine with the gateway's image, one for all tests of traffic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.agent.workloads.workload_side import HOOK
from tests.real import gateway_image
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure


@pytest.fixture(scope="package")
def gateways(host_kept: None, make_short_folder: Callable[[], Path]) -> Iterator[DockerEngine]:
    """With a stub of NVIDIA's hook, as the GPUs of its workloads want one."""
    with ExitStack() as stack:
        enclosure = Enclosure(make_short_folder(), network=True)
        stack.callback(enclosure.close)
        engine = DockerEngine(enclosure)
        engine.add_hook("nvidia-container-runtime-hook", HOOK.format(folder=engine.folder))
        engine.start()
        engine.load_busybox()
        gateway_image.load(engine)
        yield engine


@pytest.fixture
def folder(short_folder: Path) -> Path:
    """One that HAProxy may enter, who is nobody."""
    short_folder.chmod(0o755)
    return short_folder


@pytest.fixture
def engine(gateways: DockerEngine) -> Iterator[DockerEngine]:
    """That engine, without containers and proxies."""
    yield gateways
    gateways.clear()
    gateways.enter("rm", "-rf", str(gateways.folder / "traffic"))
