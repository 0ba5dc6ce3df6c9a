"""What only the agent reads of a workload changes without its container."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocol.workloads import ExecProbe, GpuRequest, Workload
from tests.agent.workloads.test_apply_real import workload
from tests.agent.workloads.workload_side import UUIDS, WorkloadSide, workload_side
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

STAYS = ["only the agent reads what changes: the container is not touched"]


def one(**more: object) -> Workload:
    return workload(gpu=GpuRequest(select=UUIDS[0], **more))  # type: ignore[arg-type]


def ran(node: WorkloadSide) -> tuple[str, str]:
    """Which container it is, and since when it runs."""
    said = node.inspect("web")
    return said["Id"], said["State"]["StartedAt"]


async def test_the_container_stays(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert (await node.apply(one())).state == "succeeded"
        before = ran(node)

        other = one(on_lost="recreate", exclusive=True)
        other.soak, other.probes = 0.5, [ExecProbe(command=["true"])]
        [planned] = await node.plan(other)
        assert (planned.action, planned.steps, planned.downtime) == ("record", STAYS, "none")
        assert planned.changes == [
            "x-roost.gpu.exclusive: no becomes yes",
            "x-roost.gpu.on_lost: tell becomes recreate",
            "x-roost.soak: 0 s becomes 0.5 s",
            "x-roost.probes: they are other ones",
        ]
        job = await node.apply(other, release="r2")
        assert job.state == "succeeded"
        assert job.result == {
            "web": "the container stays; what the agent reads of it is written down"
        }
        assert ran(node) == before
        assert list(node.names()) == ["web"]
        [status] = await node.workloads.list()
        assert (status.gpu, status.release) == (other.gpu, "r2")
        assert (status.drift, status.can_undo) == ([], True)
        assert node.deployment().workloads[0].stays
        [again] = await node.plan(other)
        assert again.action == "keep"

        job = await node.undo("web")
        assert job.state == "succeeded"
        assert ran(node) == before
        [status] = await node.workloads.list()
        assert (status.gpu, status.release, status.can_undo) == (one().gpu, "r1", False)
        [again] = await node.plan(one())
        assert again.action == "keep"  # also the probes are those of before
        [again] = await node.plan(other)
        assert again.action == "record"


async def test_new_probes_must_pass(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert (await node.apply(one())).state == "succeeded"
        before = ran(node)
        other = one()
        other.probes, other.start_deadline = [ExecProbe(command=["false"])], 0.5
        job = await node.apply(other)
        assert job.state == "failed"
        assert job.problem is not None
        assert "probe `false` ended with 1" in job.problem.detail
        assert ran(node) == before
        [again] = await node.plan(one())
        assert again.action == "keep"


async def test_it_is_written_down_of_one_that_is_not_well(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """That is when people say that it may be re-created."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = one()
        first.probes = [ExecProbe(command=["test", "-e", "/tmp/well"])]
        first.command = ["sh", "-c", "touch /tmp/well; while :; do sleep 0.1; done"]
        assert (await node.apply(first)).state == "succeeded"
        engine.docker("exec", "web", "rm", "/tmp/well")
        before = ran(node)
        assert first.gpu is not None
        first.gpu.on_lost = "recreate"
        assert (await node.apply(first)).state == "succeeded"
        assert ran(node) == before


async def test_what_was_kept_stays_kept(engine: DockerEngine, tmp_path: Path) -> None:
    """An undo of the note takes only the note back."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert (await node.apply(one())).state == "succeeded"
        changed = one()
        changed.environment = {"MODEL": "b"}
        assert (await node.apply(changed)).state == "succeeded"
        names = node.names()
        assert sorted(names.values()) == ["exited", "running"]
        changed.soak = 0.5
        assert (await node.apply(changed)).state == "succeeded"
        assert node.names() == names
        await node.undo("web")
        assert node.names() == names
        assert (await node.workloads.show("web")).drift == []


async def test_another_gpu_is_another_container(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert (await node.apply(one())).state == "succeeded"
        [planned] = await node.plan(workload(gpu=GpuRequest(select="0")))  # the same, by its index
        assert planned.action == "record"
        [planned] = await node.plan(workload(gpu=GpuRequest(select=UUIDS[1])))
        assert planned.action == "replace"
        [planned] = await node.plan(one(memory_bytes=2**30))  # which is in its environment
        assert planned.action == "replace"
        [planned] = await node.plan(one(capabilities=["video"]))
        assert planned.action == "replace"
        engine.docker("stop", "--time=0", "web")
        [planned] = await node.plan(one())
        assert planned.action == "replace"  # it shall run
