"""What a simulated node tells of both arms."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from agent.protocol.arms import Arms, WorkloadArms
from agent.protocol.deployments import ApplyRequest, DeployOptions
from agent.protocol.measures import ExecMeasure, Replay
from agent.protocol.workloads import GpuRequest, Port, Workload
from agent.simulation.arms import habits_of
from agent.simulation.node import SimulatedNode
from tests.agent.simulation.test_node import NOW, planned, started
from tests.agent.simulation.test_workloads import ended

ACCURACY = ExecMeasure(name="accuracy", command=["score"], interval=1.0)


async def in_canary(node: SimulatedNode, **more: str) -> str:
    """A new container for what runs, which waits to be confirmed; the deployment."""
    image = next(one.image for one in node.runtime.containers().values() if "detector" in one.name)
    first = Workload(name="extra", image=image, gpu=GpuRequest(select="1"), soak=0.0)
    request = ApplyRequest(release="r1", workloads=[first])
    job = await node.node.workloads.apply(request, owner="maria", key=None)
    assert (await ended(node, job)).state == "succeeded"
    second = msgspec.structs.replace(first, environment={"RELEASE": "2", **more})
    options = DeployOptions(
        confirm="manual",
        measures={"extra": [ACCURACY]},
        replays={"extra": Replay(port=8000, rate=100)},
    )
    request = ApplyRequest(release="r2", workloads=[second], options=options)
    await node.node.workloads.apply(request, owner="maria", key=None)
    while True:
        [status] = await node.node.workloads.list()
        if status.deployment_state == "canary":
            assert status.deployment is not None
            return status.deployment
        await asyncio.sleep(0.01)


async def told(node: SimulatedNode, deployment: str, requests: int) -> Arms:
    """The arms once the candidate has answered so much and was read."""
    for second in range(10_000):
        await node.step(NOW + 1 + second)
        arms = await node.node.measuring.arms(deployment)
        candidate = arms.workloads[0].candidate
        replayed = candidate.replayed
        if (
            candidate.requests is not None
            and candidate.requests.requests >= requests
            and replayed is not None
            and replayed.requests
            and candidate.measures["accuracy"].count
            and candidate.gpu_probe is not None
        ):
            return arms
        await asyncio.sleep(0.05)
    raise AssertionError("it never did")


async def test_a_candidate_has_figures_and_what_rests_has_reasons() -> None:
    node = await started(planned())
    deployment = await in_canary(node)
    arms = await told(node, deployment, 5)
    [workload] = arms.workloads
    candidate, stable = workload.candidate, workload.stable
    assert (workload.name, workload.weight) == ("extra", None)
    assert candidate.requests is not None
    assert candidate.requests.errors == 0
    assert sum(candidate.requests.latency.values()) == candidate.requests.requests
    assert candidate.gpus is not None
    [gpu] = candidate.gpus
    assert gpu.shared_with == ["others"]
    assert gpu.xids == 0
    assert gpu.temperature_celsius.last is not None
    assert candidate.gpu_memory_bytes is not None
    assert (candidate.gpu_memory_bytes.last or 0) > 2**20
    assert candidate.gpu_probe is not None
    assert candidate.gpu_probe.verdict == "right"
    assert candidate.restarts == 0
    assert candidate.measures["accuracy"].last == pytest.approx(0.9, abs=0.05)
    assert candidate.unknown == {}

    assert stable.runs is False
    assert stable.requests is None
    assert stable.restarts is None
    assert "makes way for the candidate" in stable.unknown["requests"]
    assert stable.unknown.keys() == {
        *("requests", "replayed", "gpus", "gpu_memory_bytes", "gpu_probe", "restarts"),
        "measures.accuracy",
    }

    await node.node.workloads.confirm("extra")
    while (await node.node.workloads.list())[0].deployment_state != "done":  # noqa: ASYNC110 - as good
        await asyncio.sleep(0.01)
    after = await node.node.measuring.arms(deployment)
    assert after.workloads == []
    assert after.unknown is not None
    assert "done" in after.unknown
    assert node.node.workloads._store.deployment(deployment).replays == {}
    await node.stop()


async def test_nothing_is_measured_once_the_node_has_stopped() -> None:
    node = await started(planned())
    deployment = await in_canary(node)
    assert (await node.node.measuring.arms(deployment)).workloads
    assert measuring()
    await node.stop()
    node.node.measuring.sampled()
    assert measuring() == []


def measuring() -> list[str]:
    """The readings under way."""
    names = (task.get_name() for task in asyncio.all_tasks())
    return [name for name in names if name.startswith(("measure ", "replay"))]


async def test_a_candidate_can_be_bad() -> None:
    node = await started(planned())
    deployment = await in_canary(node, SIMULATE="failing,worse")
    arms = await told(node, deployment, 1)
    candidate = arms.workloads[0].candidate
    assert candidate.measures["accuracy"].last == pytest.approx(0.7, abs=0.05)
    while (candidate.replayed is None) or not candidate.replayed.errors:
        await asyncio.sleep(0.02)
        candidate = (await node.node.measuring.arms(deployment)).workloads[0].candidate
    assert candidate.replayed.errors < candidate.replayed.requests
    await node.stop()


async def test_a_weight_shares_the_requests_and_begins_another_window() -> None:
    node = await started(planned())
    workloads = node.node.workloads
    image = next(one.image for one in node.runtime.containers().values() if "gateway" in one.name)
    first = Workload(
        name="web",
        image=image,
        ports=[Port(target=80, published=18080)],
        strategy="weighted",
        soak=0.0,
    )
    request = ApplyRequest(release="r1", workloads=[first])
    await ended(node, await workloads.apply(request, owner="maria", key=None))
    second = msgspec.structs.replace(first, environment={"SIMULATE": "failing"})
    options = DeployOptions(confirm="manual", steered_by="r.1")
    request = ApplyRequest(release="r2", workloads=[second], options=options)
    await workloads.apply(request, owner="maria", key=None)

    async def when(weight: int, stable: int, candidate: int) -> WorkloadArms:
        """The arms once that is the weight and so much was answered."""
        while True:
            [status] = await workloads.list()
            assert status.deployment is not None
            arms = await node.node.measuring.arms(status.deployment)
            for found in arms.workloads:
                one, other = found.stable.requests, found.candidate.requests
                if (
                    found.weight == weight
                    and one is not None
                    and other is not None
                    and one.requests >= stable
                    and other.requests >= candidate
                ):
                    return found
            await asyncio.sleep(0.02)

    before = await when(0, 3, 0)
    assert before.candidate.requests is not None
    assert before.candidate.requests.requests == 0
    assert (before.stable.runs, before.stable.restarts) == (True, 0)
    [status] = await workloads.list()
    assert status.deployment is not None
    await workloads.deployments.renew(status.deployment, weight=50)
    after = await when(50, 3, 3)
    assert after.window != before.window
    assert after.stable.requests is not None
    assert after.stable.requests.errors == 0
    await node.stop()


def test_what_is_said_to_be_bad() -> None:
    assert habits_of("edge/gateway:2.0-slow", []) == {"slow"}
    assert habits_of("edge/slow:2.0", ["SIMULATE=failing,worse"]) == {"failing", "worse"}
    assert habits_of("edge/gateway:2.0", ["MODE=slow", "SIMULATE="]) == set()
