"""One simulated node: the agent's own Node over simulated sources."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from agent.archives.platforms import Platform
from agent.containers.in_memory import InMemoryRuntime
from agent.containers.simulated_images import images_of
from agent.doctor.examiner import Examiner
from agent.gpu.simulated import SimulatedGpus
from agent.images.node_images import simulated_images
from agent.jobs.jobs import Jobs
from agent.measuring.requests import requests_of
from agent.node import Node
from agent.protocol.containers import Container, ContainerFigures
from agent.rules.chance import repeatable
from agent.simulation.arms import SimulatedArms
from agent.simulation.containers import build_containers
from agent.simulation.gpus import build_gpus, cdi_devices
from agent.simulation.history import ComputedHistory
from agent.simulation.host import build_host
from agent.simulation.loads import Loads
from agent.simulation.pace import Pace
from agent.simulation.plan import NodePlan
from agent.simulation.smi import list_gpus
from agent.simulation.xids import SimulatedXids
from agent.store.audit import AuditLog
from agent.store.database import Database
from agent.store.tokens import TokenStore
from agent.traffic.simulated import SimulatedTraffic
from agent.workloads.applying import Rules

# The agent's own 512 would be some 200 MB for a thousand nodes that all change each second.
CAPACITY_EVENTS = 64
LOOK_EVERY_SECONDS = 60


class SimulatedNode:
    """A node that lives in steps of a second, taken by whoever holds it.

    Args:
        change: Of all seconds, the fraction in which its figures change; 0 to 1.
        at: The second that it starts in, Unix time.
    """

    def __init__(self, plan: NodePlan, *, change: float, at: int) -> None:
        self.plan = plan
        self.at = at
        chance = repeatable(f"{plan.seed}/pace")
        self._pace = Pace(change, phase=chance.random())
        self._look_at = at + chance.randrange(LOOK_EVERY_SECONDS)
        stack, boards = build_gpus(plan)
        made, workers = build_containers(plan, boards, at=at)
        xids = SimulatedXids(plan, boards, start=at)
        self._loads = Loads(plan, boards, made, workers, containers=self._containers)
        gpus = SimulatedGpus(
            stack,
            boards,
            self._loads.workers,
            now=self._now,
            runs=self._runs,
            xids=xids.between,
        )
        devices = cdi_devices(plan, boards)
        host = build_host(plan, now=self._now, cdi_devices=devices)
        discovered = devices if plan.kind.runtime.cdi_spec_dirs else []
        self.runtime = InMemoryRuntime(
            msgspec.structs.replace(plan.kind.runtime, cdi_devices=discovered),
            [each.container for each in made],
            images=images_of(
                (each.container for each in made),
                architecture=plan.kind.machine.architecture,
                at=at,
            ),
            figures=self._figures,
            nvidia_smi=lambda container: list_gpus(container, boards),
            seed=plan.seed,
        )
        database = Database(None)
        jobs, traffic = Jobs(database), SimulatedTraffic()
        self.node = Node(
            name=plan.name,
            gpu=gpus,
            host=host,
            runtime=self.runtime,
            examiner=Examiner(self.runtime, root=None),
            audit=AuditLog(database),
            tokens=TokenStore(database),
            jobs=jobs,
            database=database,
            rules=Rules(secrets=None),
            images=simulated_images(
                runtime=self.runtime,
                jobs=jobs,
                database=database,
                platform=Platform("linux", plan.kind.machine.architecture),
            ),
            simulated=True,
            history=ComputedHistory(gpus, host, pace=self._pace, now=self._now),
            capacity_events=CAPACITY_EVENTS,
            traffic=traffic,
            arm_sources=SimulatedArms(
                self.runtime,
                seed=plan.seed,
                traffic=lambda workload, *_: requests_of(traffic.figures(workload)),
                clock=time.monotonic,
            ).sources,
        )

    async def start(self) -> None:
        """Start, take the first sample, and let the doctor look."""
        await self.node.start(by_itself=False)
        await self.node.sampler.tick()
        await self.node.examine()

    async def stop(self) -> None:
        """Stop what `start` started."""
        await self.node.stop()

    async def step(self, second: int) -> None:
        """Live through one second. Costs next to nothing unless the figures change in it."""
        if self._pace.due(second):
            self.at = second
            await self.node.sampler.tick()
        if second >= self._look_at or self.node.outdated:
            self._look_at = second + LOOK_EVERY_SECONDS
            await self.node.look()

    def _now(self) -> float:
        return float(self.at)

    def _containers(self) -> Mapping[str, Container]:
        return self.runtime.containers()

    def _runs(self, container_id: str) -> bool:
        container = self.runtime.containers().get(container_id)
        return container is not None and container.state == "running"

    def _figures(self, container: Container) -> ContainerFigures:
        return self._loads.figures(container, self.at)
