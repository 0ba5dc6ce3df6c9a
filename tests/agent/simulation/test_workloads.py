"""Pins, applies, undos and removals on a simulated node, and how its figures follow."""

from __future__ import annotations

import pytest

from agent.protocol.deployments import ApplyRequest, PinRequest
from agent.protocol.images import NodeImage
from agent.protocol.jobs import Job
from agent.protocol.plan_request import PlanRequest
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuRequest, SecretUse, Workload
from agent.simulation.catalogue import KINDS
from agent.simulation.node import SimulatedNode
from tests.agent.simulation.test_node import NOW, planned, started


async def ended(node: SimulatedNode, job: Job) -> Job:
    async for _ in node.node.jobs.log(job.id):
        pass
    return node.node.jobs.get(job.id)


async def pin(node: SimulatedNode, container: str, select: str) -> Job:
    request = PinRequest(gpu=GpuRequest(select=select), soak=0.0)
    job = await node.node.workloads.pin(container, request, owner="maria", key=None)
    return await ended(node, job)


def users(node: SimulatedNode) -> dict[int, set[str]]:
    """Names of the containers that compute on each GPU, as the newest sample has it."""
    names = {one.id: one.name for one in node.runtime.containers().values()}
    index = {gpu.uuid: gpu.index for gpu in node.node.facts.gpus}
    found: dict[int, set[str]] = {gpu.index: set() for gpu in node.node.facts.gpus}
    for process in node.node.sampler.latest.processes:
        found[index[process.gpu_uuid]].add(names.get(process.container or "", "?"))
    return found


async def test_the_load_follows_a_pin_and_its_undo() -> None:
    node = await started(planned())
    assert users(node) == {0: {"detector-0"}, 1: {"detector-1"}}
    job = await pin(node, "detector-0", "1")
    assert job.state == "succeeded", job
    assert "nvidia-smi" in job.result["detector-0"]
    await node.step(NOW + 1)
    assert users(node) == {0: set(), 1: {"detector-0", "detector-1"}}
    assert node.node.sampler.latest.gpus[0].utilization_percent == 0
    shown = node.node.events.sections["containers"]
    assert {record["name"] for record in shown.values() if record["state"] == "running"} >= {
        "detector-0",
        "detector-1",
    }
    newest = (await node.node.workloads.show("detector-0")).deployment
    assert newest is not None
    job = await node.node.workloads.deployments.revert(newest, by="maria", why="undo")
    undone = await ended(node, job)
    assert undone.state == "succeeded", undone
    await node.step(NOW + 2)
    assert users(node) == {0: {"detector-0"}, 1: {"detector-1"}}
    assert await node.node.workloads.list() == []
    await node.stop()


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
async def test_every_kind_of_node_can_be_pinned_on(kind: str) -> None:
    node = await started(planned(kind=kind))
    gpu = node.node.facts.gpus[0]
    select = gpu.mig_instances[0].uuid if gpu.mig_instances else gpu.uuid
    job = await pin(node, "detector-0", select)
    assert job.state == "succeeded", job
    await node.step(NOW + 1)
    assert "detector-0" in users(node)[0]
    await node.stop()


async def test_applied_shown_and_removed() -> None:
    node = await started(planned())
    image = next(one.image for one in node.runtime.containers().values() if "detector" in one.name)
    request = ApplyRequest(
        release="r1",
        workloads=[Workload(name="extra", image=image, gpu=GpuRequest(select="0"), soak=0.0)],
    )
    job = await ended(node, await node.node.workloads.apply(request, owner="maria", key=None))
    assert job.state == "succeeded", job
    await node.step(NOW + 1)
    assert users(node)[0] == {"detector-0", "extra"}
    figures = {one.id: one for one in node.node.sampler.latest.containers}
    [status] = await node.node.workloads.list()
    assert status.container is not None
    assert (figures[status.container].cpu_percent or 0) > 0
    await ended(node, await node.node.workloads.remove("extra", owner="maria", key=None))
    await node.step(NOW + 2)
    assert users(node)[0] == {"detector-0"}
    assert await node.node.workloads.list() == []
    await node.stop()


async def test_secrets_are_not_simulated() -> None:
    node = await started(planned())
    image = next(iter(node.runtime.containers().values())).image
    secret = SecretUse(name="camera", target="/run/secrets/camera")
    request = ApplyRequest(
        release="r1", workloads=[Workload(name="extra", image=image, secrets=[secret])]
    )
    plan = await node.node.workloads.plan_apply(request)
    assert [problem.code for problem in plan.problems] == ["secret.simulated"]
    with pytest.raises(ProblemError, match="simulated"):
        node.node.secrets.set("camera", b"value")
    await node.stop()


async def test_a_plan_may_count_on_images_that_are_to_come() -> None:
    node = await started(planned())
    workloads = [Workload(name="extra", image="docker.io/edge/new:2", soak=0.0)]
    plan = await node.node.workloads.plan_apply(ApplyRequest(release="r1", workloads=workloads))
    assert [problem.code for problem in plan.problems] == ["image.not_found"]
    digest = f"sha256:{7:064x}"
    coming = NodeImage(
        id=digest, config_digest=digest, diff_ids=[], tags=["edge/new:2"], size_bytes=1
    )
    asked = PlanRequest(release="r1", workloads=workloads, coming=[coming])
    plan = await node.node.workloads.plan_apply(asked)
    assert plan.problems == []
    assert (plan.workloads[0].action, plan.workloads[0].strategy) == ("create", "stop-then-start")
    named = [Workload(name="extra", image=digest, soak=0.0)]
    asked = PlanRequest(release="r1", workloads=named, coming=[coming])
    assert (await node.node.workloads.plan_apply(asked)).problems == []
    await node.stop()
