"""What a node is: gathered from its sources, now and then anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

from agent.containers.runtime import NodeRuntime
from agent.gpu.source import GpuSource, Inventory
from agent.host.source import HostSource
from agent.live import picture
from agent.protocol.live import Record
from agent.protocol.node import (
    AgentInfo,
    Disk,
    HostFacts,
    NodeFacts,
    RuntimeFacts,
    ToolkitFacts,
)
from agent.protocol.upgrades import AgentUpgrade
from agent.protocol.version import API_VERSION

CAPABILITIES = ["containers", "exec", "logs", "metrics", "doctor", "jobs", "workloads", "engines"]


class FactsGatherer:
    """The facts of one node, as last gathered.

    Args:
        boot: of this run of the agent.
        upgrade: the agent's upgrade that is on trial, or was the last one.
    """

    def __init__(
        self,
        *,
        name: str,
        boot: str,
        gpu: GpuSource,
        host: HostSource,
        runtime: NodeRuntime,
        simulated: bool,
        upgrade: Callable[[], AgentUpgrade | None],
    ) -> None:
        self._name, self._boot, self._simulated = name, boot, simulated
        self._gpu, self._host, self._runtime = gpu, host, runtime
        self._upgrade = upgrade
        self._started_at = time.time()
        self.facts: NodeFacts | None = None  # none were gathered yet
        self.record: Record = {}
        """The same for the live picture."""

    async def gather(self) -> Inventory:
        """Gather them anew; the GPUs that there are then."""
        runtime = await self._runtime.facts()
        if self._simulated:
            host, toolkit, disks = self._host_facts(runtime)
        else:
            host, toolkit, disks = await asyncio.to_thread(self._host_facts, runtime)
        inventory = await self._gpu.inventory()
        self.facts = NodeFacts(
            name=self._name,
            agent=AgentInfo(
                version=agent_version(),
                api_version=API_VERSION,
                boot=self._boot,
                started_at=self._started_at,
                capabilities=CAPABILITIES,
                simulated=self._simulated,
                upgrade=self._upgrade(),
            ),
            host=host,
            gpu_stack=inventory.stack,
            gpus=list(inventory.gpus),
            toolkit=toolkit,
            runtime=runtime,
            disks=disks,
        )
        self.record = picture.facts_record(self.facts)
        return inventory

    async def moved(self, inventory: Inventory) -> bool:
        """Whether the runtime or the driver are other ones; containers come and go all the time."""
        facts = self.facts
        return facts is None or (facts.runtime, facts.gpu_stack, facts.gpus) != (
            await self._runtime.facts(),
            inventory.stack,
            list(inventory.gpus),
        )

    def _host_facts(self, runtime: RuntimeFacts) -> tuple[HostFacts, ToolkitFacts, list[Disk]]:
        return (
            self._host.facts(),
            self._host.toolkit(runtime.cdi_spec_dirs),
            self._host.disks(runtime_dir=runtime.root_dir),
        )


def _installed_version() -> str:
    try:
        return version("roost")
    except PackageNotFoundError:
        return "0+source"


# Looked up once: it means searching the disk, which nothing in the loop may do.
_VERSION = _installed_version()


def agent_version() -> str:
    """The installed version."""
    return _VERSION
