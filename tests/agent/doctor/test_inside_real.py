"""The look inside containers that really run."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.doctor.daemon import HOOK, look_at_daemon
from agent.doctor.examiner import Examiner
from agent.doctor.inside import InsideLook, InsideLooker
from agent.protocol.containers import Container
from tests.agent.doctor.patients import FakeNode, Patient
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine
from tests.real.fixtures import DockerEngineFactory
from tests.real.podman_service import PodmanService

pytestmark = pytest.mark.real

LISTS_ONE = '#!/bin/sh\n[ "$*" = -L ] || exit 9\necho "GPU 0: NVIDIA A10 (UUID: GPU-aaaa)"\n'
LOST_IT = '#!/bin/sh\necho "Failed to initialize NVML: Unknown Error"\nexit 255\n'
HANGS = "#!/bin/sh\nsleep 100\n"


class Bench:
    """Files that containers are given: programs and device nodes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def program(self, name: str, script: str) -> str:
        """`docker run` options that make the script the container's nvidia-smi."""
        path = self._folder / name
        path.write_text(script)
        path.chmod(0o755)
        return f"--volume={path}:/bin/nvidia-smi:ro"

    def node(self, name: str, minor: int) -> str:
        """The option that gives the container a node with NVIDIA's major number."""
        path = self._folder / name
        if not path.exists():
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(195, minor))
        return f"--device={path}:/dev/{name}"


@pytest.fixture
def bench(docker_engine: DockerEngine) -> Iterator[Bench]:
    folder = docker_engine.folder / "bench"
    yield Bench(folder)
    docker_engine.clear()
    shutil.rmtree(folder)


@asynccontextmanager
async def following(url: str, *names: str) -> AsyncIterator[tuple[DockerRuntime, list[Container]]]:
    """A runtime that knows these containers."""
    runtime = DockerRuntime([url])
    await runtime.start()
    try:
        found: dict[str, Container] = {}
        while set(names) - found.keys():
            await asyncio.sleep(0.02)
            found = {one.name: one for one in runtime.containers().values()}
        yield runtime, [found[name] for name in names]
    finally:
        await runtime.stop()


def asking(containers: list[Container]) -> list[Container]:
    """The same as if they had been created with `--gpus`, for which dockerd wants NVIDIA's hook."""
    return [
        msgspec.structs.replace(one, gpus=["GPU-aaaa"], gpu_way="device_request")
        for one in containers
    ]


async def looks_at(engine: DockerEngine, *names: str, seconds: float = 30) -> list[InsideLook]:
    async with following(engine.url, *names) as (runtime, containers):
        looks = await InsideLooker(runtime, timeout_seconds=seconds).look(asking(containers))
        return [looks[container.id] for container in containers]


def run(engine: DockerEngine, name: str, *options: str) -> None:
    engine.docker("run", "--detach", f"--name={name}", *options, IMAGE, "sleep", "1000")


async def test_nvidia_smi_is_asked_first(docker_engine: DockerEngine, bench: Bench) -> None:
    run(docker_engine, "sees", bench.program("lists", LISTS_ONE))
    run(docker_engine, "lost", bench.program("lost", LOST_IT), bench.node("nvidia0", 0))
    sees, lost = await looks_at(docker_engine, "sees", "lost")
    assert (sees.way, sees.sees, sees.uuids) == ("exec", True, ("GPU-aaaa",))
    assert (lost.way, lost.sees) == ("exec", False)
    assert lost.reason == "Failed to initialize NVML: Unknown Error"


async def test_device_nodes_are_seen_through_the_namespace(
    docker_engine: DockerEngine, bench: Bench
) -> None:
    nodes = [bench.node("nvidia0", 0), bench.node("nvidia3", 3), bench.node("nvidiactl", 255)]
    run(docker_engine, "nodes", *nodes, "--env=NVIDIA_VISIBLE_DEVICES=GPU-aaaa,GPU-dddd")
    run(docker_engine, "other", "--device=/dev/null:/dev/nvidia0")
    run(docker_engine, "none", "--env=NVIDIA_VISIBLE_DEVICES=all")
    nodes_look, other, none = await looks_at(docker_engine, "nodes", "other", "none")
    assert (nodes_look.way, nodes_look.sees, nodes_look.minors) == ("device_nodes", True, (0, 3))
    assert nodes_look.environment == "GPU-aaaa,GPU-dddd"
    assert nodes_look.reason == "no nvidia-smi in the container"
    assert (other.way, other.sees) == ("device_nodes", False)  # a node of that name, not NVIDIA's
    assert (none.way, none.sees, none.environment) == ("device_nodes", False, "all")


async def test_an_nvidia_smi_that_hangs(docker_engine: DockerEngine, bench: Bench) -> None:
    run(docker_engine, "hangs", bench.program("hangs", HANGS), bench.node("nvidia0", 0))
    (look,) = await looks_at(docker_engine, "hangs", seconds=1)
    assert (look.way, look.sees, look.minors) == ("device_nodes", None, (0,))
    assert look.reason == "nvidia-smi did not end within 1 s"


async def test_a_container_that_stops_meanwhile(docker_engine: DockerEngine, bench: Bench) -> None:
    run(docker_engine, "gone", bench.program("lists", LISTS_ONE))
    async with following(docker_engine.url, "gone") as (runtime, containers):
        docker_engine.docker("rm", "--force", "gone")
        looks = await InsideLooker(runtime).look(asking(containers))
    (look,) = looks.values()
    assert (look.way, look.sees) == ("none", None)
    assert look.reason


def test_dockerds_path_is_read(docker_engine: DockerEngine) -> None:
    look = look_at_daemon(docker_engine.url)
    assert (look.pid, look.reason) == (docker_engine.pid, None)
    assert look.path is not None
    assert look.path.split(":")[0] == str(docker_engine.hooks)
    hook = docker_engine.hooks / HOOK
    assert look.hook == (str(hook) if hook.exists() else shutil.which(HOOK))


async def test_a_device_request_from_hook_to_finding(
    docker_engine_factory: DockerEngineFactory,
) -> None:
    engine = docker_engine_factory(hooks={HOOK: "#!/bin/sh\ncat >/dev/null\n"})
    run(engine, "asked", "--gpus=device=GPU-aaaa")
    patient = Patient()
    async with following(engine.url, "asked") as (runtime, (container,)):
        patient.runtime = await runtime.facts()
        report = await Examiner(runtime).examine(FakeNode(patient))
    assert (container.gpu_way, container.gpus) == ("device_request", ["GPU-aaaa"])
    told = {check.check: check for check in report.checks}
    assert told["hook_path"].outcome == "ok"
    (finding,) = told["container_gpu"].findings
    assert finding.key == f"container.gpu_not_visible:container/{container.id}"
    # The hook that stands in for NVIDIA's does nothing, so the wish is there and no device.
    assert finding.evidence["NVIDIA_VISIBLE_DEVICES"] == "GPU-aaaa"
    assert finding.evidence["seen"] == "none"


async def test_a_dockerd_without_the_hook(docker_engine: DockerEngine) -> None:
    patient = Patient()
    async with following(docker_engine.url) as (runtime, _):
        patient.runtime = await runtime.facts()
        report = await Examiner(runtime).examine(FakeNode(patient))
    found = [one for one in report.findings if one.code == "toolkit.hook_not_in_path"]
    there = shutil.which(HOOK) is not None  # on a machine with NVIDIA's own
    pids = [one.evidence["dockerd_pid"] for one in found]
    assert pids == ([] if there else [str(docker_engine.pid)])


async def test_podman_leaves_no_trace_of_a_dropped_request(podman_service: PodmanService) -> None:
    podman = podman_service
    options = ["--gpus=device=GPU-aaaa", "--env=NVIDIA_VISIBLE_DEVICES=all", "--network=none"]
    podman.docker("run", "--detach", "--name=cuda", *options, IMAGE, "sleep", "1000")
    try:
        async with following(podman.url, "cuda") as (runtime, containers):
            looks = await InsideLooker(runtime).glance(containers)
    finally:
        podman.clear()
    (container,) = containers
    assert (container.gpu_way, container.gpus) == ("none", [])
    look = looks[container.id]
    assert (look.way, look.sees, look.environment) == ("device_nodes", False, "all")
