"""Drift and ceilings on a simulated node: the same code as on a real one."""

from __future__ import annotations

from typing import Any

from agent.protocol.deployments import ApplyRequest
from agent.protocol.jobs import Job
from agent.protocol.workloads import GpuRequest, Workload
from agent.simulation.node import SimulatedNode
from agent.workloads.ceilings import SAMPLES
from tests.agent.simulation.test_node import NOW, planned, started
from tests.agent.simulation.test_workloads import ended

MEBIBYTE = 2**20


async def placed(node: SimulatedNode, **gpu: Any) -> None:
    """A workload `extra` on the first GPU."""
    image = next(one.image for one in node.runtime.containers().values() if "detector" in one.name)
    workload = Workload(
        name="extra", image=image, gpu=GpuRequest(select="0", **gpu), soak=0.0, restart="always"
    )
    request = ApplyRequest(release="r1", workloads=[workload])
    job = await ended(node, await node.node.workloads.apply(request, owner="maria", key=None))
    assert job.state == "succeeded", job


async def live(node: SimulatedNode, first: int, seconds: int) -> int:
    """Live through seconds; the one after them."""
    for second in range(first, first + seconds):
        await node.step(NOW + second)
    return first + seconds


def findings(node: SimulatedNode, code: str) -> list[str]:
    """What findings of a code are about, as consoles see it."""
    shown = node.node.events.sections["findings"].values()
    return [str(each["subject"]) for each in shown if each["code"] == code]


def own_jobs(node: SimulatedNode) -> list[Job]:
    """What the node does by itself."""
    return [job for job in node.node.jobs.newest() if job.owner == "roost"]


async def test_drift_is_told_and_goes() -> None:
    node = await started(planned())
    await placed(node)
    second = await live(node, 1, 2)
    assert findings(node, "workload.drift") == []
    container = (await node.node.workloads.show("extra")).container
    assert container is not None
    await node.runtime.act(container, "stop")
    second = await live(node, second, 2)
    assert findings(node, "workload.drift") == ["workload/extra"]
    await node.runtime.act(container, "start")
    await node.runtime.set_restart_policy(container, {"Name": "no"})
    assert (await node.node.workloads.show("extra")).drift == [
        "restart policy: no instead of always"
    ]
    await node.runtime.set_restart_policy(container, {"Name": "always"})
    await node.node.look()
    assert findings(node, "workload.drift") == []
    await node.stop()


async def test_a_ceiling_that_is_kept_is_quiet() -> None:
    node = await started(planned())
    await placed(node, memory_bytes=14_000 * MEBIBYTE, on_exceeded="restart")
    await live(node, 1, 3 * SAMPLES)
    await node.node.look()
    assert findings(node, "workload.gpu_memory_exceeded") == []
    assert own_jobs(node) == []
    await node.stop()


async def test_over_its_ceiling_it_is_told() -> None:
    node = await started(planned())
    await placed(node, memory_bytes=64 * MEBIBYTE)
    await live(node, 1, 3 * SAMPLES)
    assert findings(node, "workload.gpu_memory_exceeded") == ["workload/extra"]
    status = await node.node.workloads.show("extra")
    assert list(status.over_ceiling) == status.gpus
    assert own_jobs(node) == []
    await node.stop()


async def test_over_its_ceiling_it_is_restarted_and_not_again_and_again() -> None:
    node = await started(planned())
    await placed(node, memory_bytes=64 * MEBIBYTE, on_exceeded="restart")
    container = (await node.node.workloads.show("extra")).container
    second = await live(node, 1, 3 * SAMPLES)
    [job] = own_jobs(node)
    assert (job.kind, job.subject) == ("workload.restart", "extra")
    assert (await ended(node, job)).state == "succeeded"
    second = await live(node, second, 130)  # two looks of the doctor's, and it is over all the time
    assert findings(node, "workload.gpu_memory_exceeded") == ["workload/extra"]
    assert [one.id for one in own_jobs(node)] == [job.id]
    status = await node.node.workloads.show("extra")
    assert status.container == container
    assert status.by_itself is not None
    assert "it was restarted just now" in status.by_itself
    await node.stop()
