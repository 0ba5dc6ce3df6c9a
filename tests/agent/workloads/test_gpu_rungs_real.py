"""How it is told from inside a real container whether it sees its GPUs, and when nothing tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.workloads import GpuProbe, GpuRequest, Workload
from tests.agent.workloads.workload_side import (
    SERVES,
    UUIDS,
    WorkloadSide,
    pin_request,
    workload_side,
)
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

# What NVIDIA's hook would have put there, the stub leaves in the environment of process 1.
SEES = "tr '\\0' '\\n' </proc/1/environ | sed -n 's/^NVIDIA_VISIBLE_DEVICES=/cuda:0 is /p'"


def workload(*command: str, timeout: float = 30.0, **gpu: Any) -> Workload:
    """One without nvidia-smi; `command`: its own probe."""
    probes: list[Any] = [GpuProbe(command=list(command), timeout=timeout)] if command else []
    return Workload(
        name="web",
        image=IMAGE,
        command=SERVES,
        soak=0.0,
        probes=probes,
        gpu=GpuRequest(**{"select": UUIDS[0], **gpu}),
    )


def told(node: WorkloadSide) -> tuple[str | None, str]:
    """By which rung, and in which words."""
    [shown] = node.deployment().workloads
    return shown.gpu_checked, shown.gpu_check or ""


async def test_nothing_inside_tells(engine: DockerEngine, tmp_path: Path) -> None:
    """It is told so; where it must be told, the pin fails and nothing is left of it."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        job = await node.apply(workload())
        assert job.state == "succeeded", job
        assert told(node)[0] == "could_not_tell"
        assert job.result["web"] == (
            f"{UUIDS[0]}, warning: whether it sees them could not be told ({told(node)[1]})"
        )
        before = node.inspect("web")["Id"]

        job = await node.apply(workload(select=UUIDS[1], verify="required"))
        assert job.problem is not None
        assert job.problem.code == "gpu.could_not_tell"
        assert "web: whether it sees its GPUs could not be told" in job.problem.detail
        assert "GPU probe" in (job.problem.hint or "")
        assert node.names() == {"web": "running"}
        assert node.inspect("web")["Id"] == before

        # The same container, of which only that is asked anew: it is tried, and stays.
        job = await node.apply(workload(verify="required"))
        assert job.problem is not None
        assert job.problem.code == "gpu.could_not_tell"
        assert node.inspect("web")["Id"] == before
        status = await node.workloads.show("web")
        assert status.gpu is not None
        assert status.gpu.verify == "if-possible"


async def test_a_pin_that_must_be_told(engine: DockerEngine, tmp_path: Path) -> None:
    """Of a container by hand, whose image has no nvidia-smi either."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        engine.docker(
            "run", "--detach", "--name=detector", "--restart=always",
            "--gpus", f"device={UUIDS[0]}", IMAGE, *SERVES,
        )  # fmt: skip
        before = node.inspect("detector")["Id"]
        job = await node.pin("detector", "1", verify="required")
        assert job.problem is not None
        assert job.problem.code == "gpu.could_not_tell"
        assert node.names() == {"detector": "running"}
        assert node.inspect("detector")["Id"] == before
        assert node.inspect("detector")["HostConfig"]["RestartPolicy"]["Name"] == "always"
        assert (await node.pin("detector", "1")).state == "succeeded"
        assert told(node)[0] == "could_not_tell"


async def test_its_own_probe_tells(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        job = await node.apply(workload("sh", "-c", SEES, verify="required"))
        assert job.state == "succeeded", job
        assert told(node) == ("probe", f"its own probe sees {UUIDS[0]}")
        before = node.inspect("web")["Id"]

        for command, seconds, words in (
            (("sh", "-c", f"echo {UUIDS[0]}"), 30.0, f"its own probe does not see {UUIDS[1]}"),
            (("sh", "-c", f"{SEES}; echo {UUIDS[2]}"), 30.0, f"sees {UUIDS[2]}, which are not its"),
            (("sh", "-c", "echo no CUDA device; exit 7"), 30.0, "ended with 7: no CUDA device"),
            (("sleep", "60"), 0.5, "its own probe took longer than 0.5 s"),
        ):
            job = await node.apply(workload(*command, timeout=seconds, select=UUIDS[1]))
            assert job.problem is not None
            assert job.problem.code == "gpu.not_seen"
            assert words in job.problem.detail
            assert node.names() == {"web": "running"}
            assert node.inspect("web")["Id"] == before

        # One that is not in the image tells nothing.
        assert (await node.apply(workload("/no-such-probe"))).state == "succeeded"
        assert told(node)[0] == "could_not_tell"


@pytest.fixture
def bare(docker_engine: DockerEngine) -> Iterator[DockerEngine]:
    """A Docker Engine that has no hook."""
    yield docker_engine
    docker_engine.clear()


async def test_a_docker_engine_that_lacks_the_hook(bare: DockerEngine, tmp_path: Path) -> None:
    """What the agent knows of it is older than its removal: the start fails, and it goes back."""
    async with workload_side(bare, tmp_path / "agent.db") as node:
        before = node.run("detector", "--restart=always")
        job = await node.pin("detector", "1")
        assert job.problem is not None
        assert job.problem.code == "deploy.not_started"
        assert "could not select device driver" in job.problem.detail
        assert job.problem.hint
        assert node.names() == {"detector": "running"}
        assert node.inspect("detector")["Id"] == before
        assert node.inspect("detector")["HostConfig"]["RestartPolicy"]["Name"] == "always"
        node.node.hook = False  # as it is at the agent's next look
        [problem] = (await node.workloads.plan_pin("detector", pin_request("1"))).problems
        assert problem.code == "gpu.no_way"
        assert "nvidia-container-runtime-hook is not installed" in problem.detail
