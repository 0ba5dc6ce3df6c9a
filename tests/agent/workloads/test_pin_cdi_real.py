"""Pins by CDI devices, on the Docker and the Podman that take them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.protocol.gpus import Gpu
from agent.protocol.jobs import Job
from agent.protocol.workloads import GpuRequest, Mount, NetworkUse, Workload
from tests.agent.workloads.workload_side import (
    GPUS,
    SERVES,
    UUIDS,
    Node,
    WorkloadSide,
    cdi_spec,
    pin_request,
    workload_side,
)
from tests.real.busybox import IMAGE
from tests.real.containerd_store import ContainerdStoreDocker
from tests.real.fixtures import ContainerdStoreFactory
from tests.real.new_podman import NewPodman
from tests.real.podman_service import PodmanService
from tests.real.runtime import PrivateRuntime

BY_UUID = {gpu.uuid: gpu for gpu in GPUS}
BY_INDEX = {str(gpu.index): gpu for gpu in GPUS}

timeout = pytest.mark.timeout(120)
both = pytest.mark.parametrize(
    "runtime",
    [
        pytest.param(
            name, id=name.split("_")[0], marks=[pytest.mark.real(part), pytest.mark.runtimes]
        )
        for name, part in (("docker_cdi", "containerd_store"), ("new_podman", "new_podman"))
    ],
)


@pytest.fixture
def docker_cdi(containerd_store_factory: ContainerdStoreFactory) -> ContainerdStoreDocker:
    docker = containerd_store_factory(start=False)
    cdi_spec(docker.folder / "cdi", BY_UUID)
    docker.config["cdi-spec-dirs"] = [str(docker.folder / "cdi")]
    docker.start()
    docker.load_busybox()
    return docker


@pytest.fixture
def engine(request: pytest.FixtureRequest, runtime: str) -> Iterator[PrivateRuntime]:
    """The runtime, whose CDI specification names GPUs by UUID."""
    engine: PrivateRuntime = request.getfixturevalue(runtime)
    cdi_spec(engine.folder / "cdi", BY_UUID)
    yield engine
    engine.clear()


def node_of(engine: PrivateRuntime) -> Node:
    return Node(hook=False, cdi_dir=engine.folder / "cdi")


def succeeded(job: Job) -> None:
    """The job did what it should; where not, why."""
    assert job.state == "succeeded", job.problem and job.problem.detail


def given(node: WorkloadSide, name: str) -> list[str]:
    """The GPUs that the CDI devices of a container brought."""
    return [each for each in node.environment(name) if each.startswith("STUB_GPU")]


@both
@timeout
async def test_a_container_moves_by_uuid(engine: PrivateRuntime, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db", node=node_of(engine)) as node:
        first = node.run("detector", "--restart=always")
        plan = await node.workloads.plan_pin("detector", pin_request("1"))
        [planned] = plan.workloads
        assert (planned.problems, planned.gpu_way) == ([], "cdi")
        job = await node.pin("detector", "1")
        succeeded(job)
        assert given(node, "detector") == [f"STUB_GPU_1={UUIDS[1]}"]
        [shown] = node.deployment().workloads
        assert (shown.gpus, shown.gpu_way, shown.gpu_checked) == ([UUIDS[1]], "cdi", "nvidia-smi")
        [status] = await node.workloads.list()
        assert (status.gpus, status.gpu_way) == ([UUIDS[1]], "cdi")
        kept = f"detector.kept-{str(status.deployment)[:6]}"
        assert node.names() == {"detector": "running", kept: "exited"}
        assert node.inspect("detector")["HostConfig"]["RestartPolicy"]["Name"] == "always"
        assert node.inspect(kept)["HostConfig"]["RestartPolicy"]["Name"] == "no"

        back = await node.undo("detector")
        assert back.state == "succeeded", back
        assert node.names() == {"detector": "running"}
        assert node.inspect("detector")["Id"] == first
        assert node.inspect("detector")["HostConfig"]["RestartPolicy"]["Name"] == "always"
        assert given(node, "detector") == []


@both
@timeout
async def test_by_the_index_that_the_uuid_has_now(engine: PrivateRuntime, tmp_path: Path) -> None:
    """GPUs 1 and 2 change places after the plan: the container gets the same GPU all the same."""
    around = node_of(engine)
    cdi_spec(engine.folder / "cdi", BY_INDEX)
    around.cdi_dir = engine.folder / "cdi"
    if isinstance(engine, ContainerdStoreDocker):
        engine.restart()  # it looks again only where files change while it runs
    async with workload_side(engine, tmp_path / "agent.db", node=around) as node:
        node.run("detector")
        job = await node.begin_pin("detector", UUIDS[1])
        swapped = [GPUS[0], at(GPUS[1], 2), at(GPUS[2], 1)]
        around.gpus = swapped
        cdi_spec(engine.folder / "cdi", {str(gpu.index): gpu for gpu in swapped})
        ended = await node.ended(job)
        succeeded(ended)
        assert given(node, "detector") == [f"STUB_GPU_2={UUIDS[1]}"]


def at(gpu: Gpu, index: int) -> Gpu:
    return msgspec.structs.replace(gpu, index=index)


@both
@timeout
async def test_a_spec_without_the_gpu(engine: PrivateRuntime, tmp_path: Path) -> None:
    cdi_spec(engine.folder / "cdi", {"0": GPUS[0]})
    if isinstance(engine, ContainerdStoreDocker):
        engine.restart()
    async with workload_side(engine, tmp_path / "agent.db", node=node_of(engine)) as node:
        first = node.run("detector")
        plan = await node.workloads.plan_pin("detector", pin_request("1"))
        [problem] = plan.problems
        assert problem.code == "gpu.no_cdi_device"
        assert f"nvidia.com/gpu={UUIDS[1]} or nvidia.com/gpu=1" in problem.detail
        assert node.names() == {"detector": "running"}
        assert node.inspect("detector")["Id"] == first


@both
@timeout
async def test_a_removed_old_one_is_made_again_with_its_gpu(
    engine: PrivateRuntime, tmp_path: Path
) -> None:
    """Podman does not say which CDI devices a container has; what Roost gave it is known."""
    smi = Mount(kind="bind", source=str(engine.folder / "nvidia-smi"), target="/bin/nvidia-smi")

    def version(number: str, gpu: str) -> Workload:
        return Workload(
            name="web", image=IMAGE, command=SERVES, soak=0.0, restart="always", mounts=[smi],
            environment={"V": number}, gpu=GpuRequest(select=gpu),
            networks=[NetworkUse(name="front", aliases=["www"]), NetworkUse(name="back")],
        )  # fmt: skip

    async with workload_side(engine, tmp_path / "agent.db", node=node_of(engine)) as node:
        node.run("other")  # writes nvidia-smi
        first = await node.apply(version("1", "0"))
        succeeded(first)
        assert given(node, "web") == [f"STUB_GPU_0={UUIDS[0]}"]
        assert (await node.apply(version("2", "1"))).state == "succeeded"
        [status] = await node.workloads.list()
        engine.docker("rm", "--force", f"web.kept-{str(status.deployment)[:6]}")
        back = await node.undo("web")
        succeeded(back)
        assert "V=1" in node.environment("web")
        assert given(node, "web") == [f"STUB_GPU_0={UUIDS[0]}"]
        assert node.names() == {"other": "running", "web": "running"}
        networks: dict[str, Any] = node.inspect("web")["NetworkSettings"]["Networks"]
        assert sorted(networks) == ["back", "front"]
        assert "www" in networks["front"]["Aliases"]
        [shown] = node.deployment().workloads
        assert "was removed by somebody" in shown.lost[0]
    engine.clear()
    engine.docker("network", "rm", "front", "back")


@pytest.mark.real("podman")
@timeout
async def test_a_podman_that_drops_cdi_devices(
    podman_service: PodmanService, tmp_path: Path
) -> None:
    """It would run on the CPU, without a word. The plan says so, and nothing is touched."""
    version = podman_service.docker("version", "--format", "{{.Server.Version}}")
    if not version.startswith("4."):
        pytest.skip(f"Podman {version} takes them")
    cdi_spec(podman_service.folder / "cdi", BY_UUID)
    async with workload_side(
        podman_service, tmp_path / "agent.db", node=node_of(podman_service)
    ) as node:
        first = node.run("detector", "--restart=always")
        plan = await node.workloads.plan_pin("detector", pin_request("1"))
        [problem] = plan.problems
        assert problem.code == "gpu.no_way"
        assert f"Podman {version} drops CDI devices" in problem.detail
        assert "Podman drops device requests" in problem.detail
        assert node.names() == {"detector": "running"}
        assert node.inspect("detector")["Id"] == first
    podman_service.clear()


@pytest.mark.real("new_podman")
@pytest.mark.runtimes
@timeout
async def test_what_podman_says_and_what_it_does_not(new_podman: NewPodman, tmp_path: Path) -> None:
    """All of a container that Podman tells is the same before and after; the rest is said first."""
    cdi_spec(new_podman.folder / "cdi", BY_UUID)
    async with workload_side(new_podman, tmp_path / "agent.db", node=node_of(new_podman)) as node:
        new_podman.docker("network", "create", "cams")
        node.run(
            "detector", "--restart=on-failure:3",
            "--network=cams", "--network-alias=eyes",
            "--publish=8123:80", "--env=MODEL=yolo", "--label=team=vision", "--hostname=eye-1",
            "--volume=/data", "--volume=models:/models:ro", "--tmpfs=/scratch:size=1m",
            "--memory=64m", "--cpus=0.5", "--shm-size=8m", "--ulimit=nofile=512:1024",
            "--cap-add=SYS_NICE", "--cap-drop=MKNOD", "--user=0:0", "--workdir=/tmp", "--init",
            "--stop-timeout=3", "--stop-signal=SIGTERM", "--add-host=cam:10.0.0.1",
            "--device=/dev/null:/dev/fake", "--read-only", "--ipc=shareable",
            "--security-opt=no-new-privileges", "--oom-score-adj=10", "--entrypoint=sh",
            command=SERVES[1:],
        )  # fmt: skip
        before = node.inspect("detector")
        new_podman.docker("exec", "detector", "sh", "-c", "echo kept > /data/file")
        [planned] = (await node.workloads.plan_pin("detector", pin_request("1"))).workloads
        assert (planned.problems, planned.lost) == ([], [])
        assert "Podman does not say which GPUs" in planned.warnings[0]
        job = await node.pin("detector", "1")
        succeeded(job)
        assert new_podman.docker("exec", "detector", "cat", "/data/file") == "kept"
        after, was = told(node.inspect("detector")), told(before)
        for part in was:
            assert after[part] == was[part]
        assert given(node, "detector") == [f"STUB_GPU_1={UUIDS[1]}"]
    new_podman.clear()
    new_podman.docker("network", "rm", "cams")


def told(answer: dict[str, Any]) -> dict[str, Any]:
    """What Podman says of a container, without what names this one or is the GPU."""
    host, config = dict(answer["HostConfig"]), dict(answer["Config"])
    host.pop("Annotations", None)
    host["Binds"] = sorted(host["Binds"])
    host["Ulimits"] = sorted(host["Ulimits"], key=lambda each: str(each["Name"]))
    config["Env"] = sorted(
        each for each in config["Env"] if not each.startswith(("NVIDIA_", "STUB_GPU"))
    )
    config["Labels"] = {
        key: value for key, value in config["Labels"].items() if not key.startswith("roost.")
    }
    aliases = {
        name: sorted(each for each in endpoint["Aliases"] if not answer["Id"].startswith(each))
        for name, endpoint in answer["NetworkSettings"]["Networks"].items()
    }
    found = {key: answer[key] for key in ("Name", "Path", "Args", "Image")}
    return {**found, "host": host, "config": config, "networks": aliases}
