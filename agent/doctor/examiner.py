"""Gathers the evidence of one node and lets its doctor look at it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from agent.containers.runtime import ContainerRuntime
from agent.doctor.console_clock import ConsoleClock
from agent.doctor.doctor import Doctor
from agent.doctor.evidence import Evidence
from agent.doctor.inside import InsideLooker
from agent.doctor.memory import MemoryWatch
from agent.doctor.reloads import ReloadWatch
from agent.doctor.system import SystemLook, look_at_system
from agent.doctor.throttling import ThrottleWindow
from agent.protocol.deployments import WorkloadStatus
from agent.protocol.engines import Engine
from agent.protocol.findings import DoctorReport
from agent.protocol.gpus import GpuReport, GpuSample
from agent.protocol.node import NodeFacts
from agent.protocol.telemetry import Telemetry

# The default of `alerts.gpu_memory_percent` in agent.yaml.
GPU_MEMORY_PERCENT = 80.0


class HasLatest(Protocol):
    """A sampler, as far as it matters here."""

    @property
    def latest(self) -> Telemetry: ...


class ExaminedNode(Protocol):
    """What the examiner asks of a node."""

    @property
    def facts(self) -> NodeFacts: ...

    @property
    def sampler(self) -> HasLatest: ...

    def gpu_report(self) -> GpuReport: ...

    async def workload_report(self) -> Sequence[WorkloadStatus] | None: ...

    async def engine_report(self) -> Sequence[Engine] | None: ...


class ToldOffset(Protocol):
    """The node's clock minus the console's, and what that may be wrong by."""

    @property
    def seconds(self) -> float: ...

    @property
    def uncertainty_seconds(self) -> float: ...


class Examiner:
    """One node's doctor with everything that it remembers between its looks.

    Args:
        runtime: To look into containers by.
        root: The machine's root. None: a simulated node, which has no files to look at; checks
            that need them could not tell, or do not apply.
        gpu_memory_percent: Of a GPU's memory; used to that and more is a finding. None: never.
    """

    def __init__(
        self,
        runtime: ContainerRuntime,
        *,
        root: Path | None = Path("/"),
        gpu_memory_percent: float | None = GPU_MEMORY_PERCENT,
    ) -> None:
        self._runtime = runtime
        self._root = root
        self._doctor = Doctor()
        self._looker = InsideLooker(
            runtime,
            procfs=None if root is None else root / "proc",
            reloads=ReloadWatch(None if root is None else root / "run/systemd"),
        )
        self._clock = ConsoleClock()
        self._throttling = ThrottleWindow()
        self._memory = MemoryWatch(gpu_memory_percent)
        self._one_at_a_time = asyncio.Lock()

    def watch(self, at: float, samples: Iterable[GpuSample]) -> None:
        """Take one moment's samples, so that what lasts can be told from what passes."""
        samples = list(samples)
        self._throttling.add(at, samples)
        self._memory.add(samples)

    async def examine(self, node: ExaminedNode, clock: ToldOffset | None = None) -> DoctorReport:
        """Look at everything and judge it. Takes seconds where containers do not answer."""
        if clock is not None:
            self._clock.tell(clock.seconds, clock.uncertainty_seconds)
        async with self._one_at_a_time:
            return self._doctor.examine(await self._gather(node))

    async def _gather(self, node: ExaminedNode) -> Evidence:
        facts = node.facts
        containers = tuple(self._runtime.containers().values())
        root = self._root
        system = (
            await asyncio.to_thread(look_at_system, facts, root)
            if root is not None
            else SystemLook()
        )
        inside = await self._looker.look(containers)
        if facts.runtime.name == "Podman" and root is not None:
            # It leaves no trace of a request that it dropped, so all of them are looked at.
            asked_nothing = [one for one in containers if one.id not in inside]
            inside |= await self._looker.glance(asked_nothing)
        workloads = await node.workload_report()
        engines = await node.engine_report()
        return Evidence(
            facts=facts,
            gpus=node.gpu_report(),
            containers=containers,
            workloads=None if workloads is None else tuple(workloads),
            engines=None if engines is None else tuple(engines),
            host=node.sampler.latest.host,
            throttling=self._throttling.moments(),
            memory=self._memory.look(),
            clock=self._clock.offset(),
            inside=inside,
            system=system,
            at=time.time(),
        )
