"""Everything a check may look at. Gathering does the I/O, so that the checks need none."""

from __future__ import annotations

import msgspec

from agent.doctor.inside import InsideLook
from agent.doctor.memory import MemoryLook
from agent.doctor.system import SystemLook
from agent.doctor.throttling import ThrottleMoment
from agent.protocol.containers import Container
from agent.protocol.deployments import WorkloadStatus
from agent.protocol.engines import Engine
from agent.protocol.gpus import Gpu, GpuReport
from agent.protocol.node import NodeFacts
from agent.protocol.telemetry import HostSample


class ClockOffset(msgspec.Struct, frozen=True):
    """The node's clock minus the console's, and half the round trip it was measured over."""

    seconds: float
    uncertainty_seconds: float


class Evidence(msgspec.Struct, kw_only=True, frozen=True):
    """One node at one moment."""

    at: float  # Unix time
    facts: NodeFacts
    gpus: GpuReport
    containers: tuple[Container, ...] = ()
    workloads: tuple[WorkloadStatus, ...] | None = ()  # None: which there are is not known
    engines: tuple[Engine, ...] | None = ()  # one of each model; None: they could not be read
    host: HostSample | None = None
    throttling: tuple[ThrottleMoment, ...] = ()  # the last minute, oldest first
    clock: ClockOffset | None = None  # None: no console has told its time
    memory: MemoryLook = MemoryLook()
    inside: dict[str, InsideLook] = {}  # by container id
    system: SystemLook = SystemLook()

    @property
    def has_gpus(self) -> bool:
        """Whether the node has a GPU that containers could use, as far as is known."""
        return bool(self.gpus.gpus) and self.gpus.stack.source != "none"

    @property
    def runtime_answers(self) -> bool:
        """Whether the container runtime can be asked."""
        return self.facts.runtime.state in ("ok", "simulated")

    @property
    def is_tegra(self) -> bool:
        """Whether the GPU is a Jetson's own."""
        stack = self.gpus.stack
        return stack.source == "tegra" or stack.l4t_version is not None

    def workload_of(self, container: Container) -> WorkloadStatus | None:
        """The workload that a container is the stable one of."""
        for workload in self.workloads or ():
            if workload.container == container.id:
                return workload
        return None

    def gpu(self, uuid: str) -> Gpu | None:
        """The GPU of that UUID."""
        return next((gpu for gpu in self.gpus.gpus if gpu.uuid == uuid), None)
