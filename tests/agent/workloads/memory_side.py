"""The workload side of a node whose containers, proxies and database are in memory.

An agent that ends leaves them; the next one finds them (`killed`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from agent.containers.in_memory import InMemoryRuntime
from agent.engines.node_engines import NodeEngines
from agent.jobs.jobs import Jobs
from agent.protocol.deployments import ApplyRequest, Deployment, DeployOptions
from agent.protocol.gpus import GpuStack
from agent.protocol.images import NodeImage
from agent.protocol.jobs import Job
from agent.protocol.node import AgentInfo, HostFacts, NodeFacts, RuntimeFacts, ToolkitFacts
from agent.protocol.workloads import Port, Workload
from agent.store.database import Database
from agent.traffic.simulated import SimulatedTraffic
from agent.workloads.applying import Rules
from agent.workloads.node_workloads import NodeWorkloads
from agent.workloads.records import DeploymentRecord

IMAGE = "app:1"
RUNTIME = RuntimeFacts(state="ok", name="memory", image_store="memory")


class MovedClock:
    """A boot clock that a test moves."""

    boot = "b1"

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at


def serving(version: str, *, strategy: Any = "weighted", **more: Any) -> Workload:
    """One behind a proxy, unless the strategy has none."""
    given: dict[str, Any] = {
        "environment": {"VERSION": version},
        "ports": [Port(target=80, published=8080)],
        "restart": "always",
        "soak": 0.0,
        **more,
    }
    return Workload(name="web", image=IMAGE, strategy=strategy, **given)


class MemorySide:
    """A node; its agent may be killed."""

    def __init__(
        self,
        *,
        runtime: Callable[..., Any] = InMemoryRuntime,
        traffic: SimulatedTraffic | None = None,
    ) -> None:
        digest = "sha256:" + "1" * 64
        image = NodeImage(id=digest, diff_ids=[digest], tags=[IMAGE], size_bytes=1)
        self.runtime: Any = runtime(RUNTIME, [], images=[image])
        self.traffic = traffic or SimulatedTraffic()
        self.clock = MovedClock()
        self._database = Database(None)
        self.jobs, self.workloads = self._agent()

    async def start(self) -> None:
        """Go on with what there is."""
        await self.workloads.start()
        await self.jobs.start()

    async def stop(self) -> None:
        await self.jobs.stop()
        await self.workloads.stop()

    async def killed(self) -> None:
        """The agent ends wherever it is, and another one goes on."""
        await self.stop()
        await self.replaced()

    async def replaced(self) -> None:
        """Another agent goes on, whatever becomes of the one before."""
        self.jobs, self.workloads = self._agent()
        await self.start()

    async def apply(self, *workloads: Workload, **options: Any) -> Job:
        """Begin."""
        request = ApplyRequest(
            release="r", workloads=list(workloads), options=DeployOptions(**options)
        )
        return await self.workloads.apply(request, owner="maria", key=None)

    async def steered(self, version: str, **more: Any) -> str:
        """Begin a deployment that somebody steers; its id once it is watched."""
        await self.apply(serving(version, **more), confirm="manual", steered_by="r1")
        return (await self.reaches("canary", "done", "reverted", "stuck")).id

    @property
    def record(self) -> DeploymentRecord:
        """The newest deployment."""
        return self.workloads._store.deployments()[0]

    async def reaches(self, *states: str) -> Deployment:
        """The newest deployment once it is in one of these states."""
        while self.record.shown.state not in states:  # noqa: ASYNC110 - as good
            await asyncio.sleep(0.001)
        return self.record.shown

    async def log(self, job: Job) -> str:
        """All that a job said, once it has ended."""
        return "\n".join([str(entry) async for entry in self.jobs.log(job.id)])

    def _agent(self) -> tuple[Jobs, NodeWorkloads]:
        jobs = Jobs(self._database)
        engines = NodeEngines(
            place=None, jobs=jobs, facts=_facts, runtime=self.runtime, bound=_nothing
        )
        workloads = NodeWorkloads(
            runtime=self.runtime,
            jobs=jobs,
            database=self._database,
            rules=Rules(secrets=None),
            facts=_facts,
            samples=list,
            engines=engines,
            traffic=self.traffic,
            procfs=None,
            boot_clock=self.clock,
        )
        return jobs, workloads


@asynccontextmanager
async def memory_side(**more: Any) -> AsyncIterator[MemorySide]:
    """One with a workload that runs behind its proxy."""
    side = MemorySide(**more)
    await side.start()
    try:
        await side.apply(serving("v0"))
        assert (await side.reaches("done", "reverted", "stuck")).state == "done"
        yield side
    finally:
        await side.stop()


async def _nothing() -> dict[Any, Any]:
    return {}


def _facts() -> NodeFacts:
    return NodeFacts(
        name="m",
        agent=AgentInfo(version="1", api_version="1.0", boot="b", started_at=0.0),
        host=HostFacts(
            hostname="m",
            os="Debian GNU/Linux 12",
            kernel="6.1",
            architecture="amd64",
            cpu_count=2,
            memory_total_bytes=2**30,
        ),
        gpu_stack=GpuStack(state="no_gpu", source="none"),
        gpus=[],
        toolkit=ToolkitFacts(),
        runtime=RUNTIME,
        disks=[],
    )
