"""Images whose Python does anything: nothing of it hurts the agent, and every container ends."""

from __future__ import annotations

import asyncio
import tarfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from agent.engines.hearing import Silences
from tests import onnx_made
from tests.agent.engines.engine_side import EngineSide, engine_side
from tests.real.busybox import IMAGE, write_root
from tests.real.docker_engine import DockerEngine
from tests.real.podman_service import PodmanService
from tests.real.runtime import PrivateRuntime

pytestmark = [pytest.mark.real("docker"), pytest.mark.timeout(120)]

NAME = "strange:1"
VOLUME = ("--change", "VOLUME /data")
MIB = 2**20
# A shell instead of a Python. With a description of a job it does what the test says.
SCRIPT = r"""#!/bin/sh
echo '{"event":"versions","flavour":"tensorrt_rtx","tensorrt":"1.7.1.116","python":"3.10.1"}'
if [ -n "$4" ]; then
    echo '{"event":"parsed","layers":1,"inputs":[],"outputs":[]}'
    DOES
fi
echo '{"event":"done"}'
"""
BUILDS = r"""
    printf 'vtrt%020d\001\007\001tx' 0 >/roost/plan/model.plan
    echo '{"event":"built","seconds":1,"plan_bytes":29,"peak_memory_bytes":1,'\
'"header":{"serialization":0,"version":[1,7,1,116]}}'
    echo '{"event":"checked","state":"header","reason":"none"}'
"""


@pytest.fixture
def onnx(short_folder: Path) -> Path:
    path = short_folder / "detector.onnx"
    path.write_bytes(onnx_made.detector(blocks=1))
    return path


@pytest.fixture
def strange(engine: DockerEngine, tmp_path: Path) -> Callable[[str], None]:
    """Makes the image do that."""
    return partial(make_strange, engine, tmp_path)


def make_strange(runtime: PrivateRuntime, folder: Path, does: str) -> None:
    script = folder / "python3"
    script.write_text(SCRIPT.replace("DOES", does))
    script.chmod(0o755)
    root = folder / "root.tar"
    write_root(root)
    with tarfile.open(root, "a") as tar:
        tar.add(script, "bin/python3")
    if isinstance(runtime, PodmanService):
        runtime.podman("import", "--quiet", *VOLUME, str(root), f"docker.io/library/{NAME}")
    else:
        runtime.docker("import", *VOLUME, str(root), NAME)


@pytest.fixture
async def side(short_folder: Path, engine: DockerEngine) -> AsyncIterator[EngineSide]:
    silences = Silences(then_seconds=2.0)
    async with engine_side(short_folder, [], runtime=engine.url, silences=silences) as made:
        yield made
        for what in (["ps", "--all", "--quiet"], ["volume", "ls", "--quiet"]):
            assert await asyncio.to_thread(engine.docker, *what) == ""


async def test_it_builds(side: EngineSide, onnx: Path, strange: Callable[[str], None]) -> None:
    strange(BUILDS)
    job = await side.build(onnx, executor="container", image=NAME)
    assert job.problem is None, job.problem


async def test_megabytes_of_output(
    side: EngineSide, onnx: Path, strange: Callable[[str], None]
) -> None:
    strange("yes 'a line that says nothing' | head -c 6000000; yes | head -c 1000 >&2;" + BUILDS)
    job = await side.build(onnx, executor="container", image=NAME)
    assert job.problem is None, job.problem
    (engine,) = await side.engines.list()
    log = Path(engine.path).with_name("build.log")
    size = (await asyncio.to_thread(log.stat)).st_size
    assert 4 * MIB <= size < 4 * MIB + 100


async def test_lines_that_the_runtime_cuts_in_pieces(
    side: EngineSide, onnx: Path, strange: Callable[[str], None]
) -> None:
    """json-file has pieces of 16 KiB; what a model has by way of names and sizes may be more."""
    long = "$(head -c 100000 /dev/zero | tr '\\0' y)"
    metadata = f'"reason":"none","metadata":{{"names":"\'"{long}"\'"}}'
    strange(BUILDS.replace('"reason":"none"', metadata))
    job = await side.build(onnx, executor="container", image=NAME)
    assert job.problem is None, job.problem
    assert job.result["current"] == "not switched: it was not tried: none"


@pytest.mark.parametrize(
    ("does", "code", "words"),
    [
        ("sleep 600", "engine.silent", "nothing for 2 s"),
        ("exit 3", "engine.worker", "ended with 3"),
        ("echo 'out of tiles' >&2; exit 134", "engine.worker", "last words: out of tiles"),
        ("exit 0", "engine.worker", "did not say how it went"),
        (BUILDS.replace("0 >", "0 | head -c 9 >"), "engine.plan", "does not begin"),
        (BUILDS.replace("printf", "ln -s /etc/passwd /roost/plan/model.plan; : #"), "engine", ""),
        ("head -c 300000000 /dev/zero | tail -c 300000000 >/dev/null", "engine.memory", "memory"),
    ],
)
async def test_what_comes_of_it(
    side: EngineSide,
    onnx: Path,
    strange: Callable[[str], None],
    does: str,
    code: str,
    words: str,
) -> None:
    strange(does)
    job = await side.build(onnx, executor="container", image=NAME, memory_bytes=64 * MIB)
    assert job.problem is not None
    assert job.problem.code.startswith(code), job.problem
    assert words in job.problem.detail
    assert side.files() == []


async def test_one_that_does_not_listen_is_killed(
    side: EngineSide, onnx: Path, strange: Callable[[str], None]
) -> None:
    strange("trap '' TERM; while :; do echo; sleep 0.1; done")
    job = await side.begin(onnx, executor="container", image=NAME)
    await side.said(job, "1 layers")
    await side.jobs.cancel(job.id, by="maria")
    assert (await side.ended(job)).state == "cancelled"
    assert side.files() == []


async def test_a_build_that_outlives_its_timeout(
    side: EngineSide, onnx: Path, strange: Callable[[str], None]
) -> None:
    strange("while :; do echo; sleep 0.1; done")
    job = await side.build(onnx, executor="container", image=NAME, timeout_seconds=1)
    assert job.problem is not None
    assert job.problem.code == "job.deadline"
    assert side.files() == []


async def test_podman_builds_too(
    podman_service: PodmanService, short_folder: Path, onnx: Path, tmp_path: Path
) -> None:
    make_strange(podman_service, tmp_path, BUILDS)
    async with engine_side(short_folder, [], runtime=podman_service.url) as side:
        job = await side.build(onnx, executor="container", image=NAME)
        assert job.problem is None, job.problem
        await asyncio.to_thread(make_strange, podman_service, tmp_path, "sleep 600")
        job = await side.begin(onnx, executor="container", image=NAME)
        await side.said(job, "1 layers")
        await side.jobs.cancel(job.id, by="maria")
        assert (await side.ended(job)).state == "cancelled"
        bare = await side.build(onnx, executor="container", image=IMAGE)
        assert bare.problem is not None
        assert "no python3 in its PATH; no python in its PATH" in bare.problem.detail
        assert await asyncio.to_thread(podman_service.docker, "ps", "--all", "--quiet") == ""
