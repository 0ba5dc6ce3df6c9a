"""Sources with fixed answers, for tests of what stands above them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from agent.archives.platforms import Platform
from agent.containers.simulated_images import SimulatedImages, images_of
from agent.doctor.evidence import ClockOffset
from agent.gpu.source import GpuSource, Inventory, Reading
from agent.images.node_images import NodeImages, images_in, simulated_images
from agent.images.uploads import Admit
from agent.jobs.jobs import Jobs
from agent.node import Node
from agent.protocol.containers import (
    LOG_LINE_LIMIT_BYTES,
    Container,
    ContainerChange,
    ContainerDetails,
    ContainerFigures,
    ExecExit,
    ExecOutput,
    ExecRequest,
    LogLine,
)
from agent.protocol.findings import CheckOutcome, DoctorReport, Finding
from agent.protocol.gpus import Gpu, GpuHealth, GpuSample, GpuStack, XidEvent
from agent.protocol.node import Disk, HostFacts, RuntimeFacts, ToolkitFacts
from agent.protocol.problems import ProblemError
from agent.protocol.telemetry import HostSample
from agent.store.audit import AuditLog
from agent.store.database import Database
from agent.store.tokens import TokenStore
from agent.workloads.applying import Rules

GPU = Gpu(uuid="GPU-aaa", index=0, name="Tesla T4", memory_total_bytes=16 * 2**30)
DETECTOR = Container(
    id="d" * 64,
    name="detector",
    image="detector:1",
    image_id="sha256:" + "1" * 64,
    state="running",
    created_at=1.0,
)


class FixedGpus:
    """One GPU whose sample a test may replace."""

    def __init__(self) -> None:
        self.sample = GpuSample(uuid=GPU.uuid, utilization_percent=40.2, temperature_celsius=50.0)
        self.stack = GpuStack(state="ok", source="nvml", driver_version="535.183.01")

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def inventory(self) -> Inventory:
        return Inventory(stack=self.stack, gpus=(GPU,))

    async def read(self) -> Reading:
        return Reading(samples=(self.sample,))

    async def health(self) -> tuple[GpuHealth, ...]:
        return (GpuHealth(uuid=GPU.uuid),)

    def take_xids(self) -> list[XidEvent]:
        return []


class FixedHost:
    def facts(self) -> HostFacts:
        return HostFacts(
            hostname="t4",
            os="Debian GNU/Linux 12",
            kernel="6.1",
            architecture="amd64",
            cpu_count=4,
            memory_total_bytes=8 * 2**30,
        )

    def toolkit(self, cdi_dirs: Sequence[str]) -> ToolkitFacts:
        return ToolkitFacts(version="1.17.0")

    def disks(self, *, runtime_dir: str | None) -> list[Disk]:
        return [Disk(path="/", purposes=["system"], total_bytes=100, free_bytes=40)]

    def sample(self) -> HostSample:
        return HostSample(cpu_percent=12.0, memory_used_bytes=2**30)


class EchoSession:
    """An exec that writes back what it reads and ends with its input."""

    id = "exec-1"

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.size: tuple[int, int] | None = None
        self.closed = False

    async def output(self) -> AsyncIterator[ExecOutput | ExecExit]:
        while (data := await self._queue.get()) is not None:
            yield ExecOutput(stream="stdout", data=data)
        yield ExecExit(code=0)

    async def write(self, data: bytes) -> None:
        await self._queue.put(data)

    async def close_input(self) -> None:
        await self._queue.put(None)

    async def resize(self, columns: int, rows: int) -> None:
        self.size = (columns, rows)

    async def close(self) -> None:
        self.closed = True


REFUSED = ProblemError("runtime.refused", "nobody makes containers here", hint="It is a double.")


class NoWorkloads:
    """A runtime whose containers nobody makes or moves."""

    async def inspect(self, name: str) -> Mapping[str, Any]:
        raise ProblemError("container.not_found", "it is gone", hint="It is a double.")

    async def create_container(
        self, name: str, body: Mapping[str, Any], networks: Mapping[str, Mapping[str, Any]]
    ) -> str:
        raise REFUSED

    async def rename_container(self, container_id: str, name: str) -> None:
        raise REFUSED

    async def remove_container(self, container_id: str) -> None:
        raise REFUSED

    async def signal_container(self, container_id: str, signal: str) -> None:
        raise REFUSED

    async def discard_container(self, container_id: str) -> None:
        raise REFUSED

    async def run_health_check(self, container_id: str) -> None:
        raise REFUSED

    async def set_restart_policy(self, container_id: str, policy: Mapping[str, Any]) -> None:
        raise REFUSED

    async def labelled(self, label: str) -> list[str]:
        raise REFUSED

    async def changed_paths(self, container_id: str) -> list[str]:
        raise REFUSED

    async def image_environment(self, image: str) -> list[str]:
        raise REFUSED

    async def has_network(self, name: str) -> bool:
        raise REFUSED

    async def volume_options(self, name: str) -> Mapping[str, str] | None:
        raise REFUSED

    async def ensure_network(self, name: str, settings: Mapping[str, Any]) -> bool:
        raise REFUSED


class FixedRuntime(SimulatedImages, NoWorkloads):
    """One container, `detector`, and its image."""

    def __init__(self) -> None:
        super().__init__(self.containers, images_of([DETECTOR], architecture="amd64", at=1e9))
        self.container = DETECTOR
        self.session = EchoSession()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def losses(self) -> int:
        return 0

    async def facts(self) -> RuntimeFacts:
        return RuntimeFacts(state="ok", name="Docker Engine", version="24.0.7")

    def containers(self) -> Mapping[str, Container]:
        return {self.container.id: self.container}

    def on_change(self, callback: Callable[[], None]) -> None:
        self.changed = callback

    async def figures(self) -> tuple[ContainerFigures, ...]:
        return (ContainerFigures(id=self.container.id, cpu_percent=3.0),)

    async def details(self, name: str) -> ContainerDetails:
        self._known(name)
        return ContainerDetails(container=self.container)

    async def act(
        self,
        name: str,
        action: Literal["start", "stop", "restart"],
        *,
        timeout_seconds: int | None = None,
    ) -> ContainerChange:
        self._known(name)
        state: Literal["running", "exited"] = "exited" if action == "stop" else "running"
        changed = action == "restart" or state != self.container.state
        self.container = msgspec.structs.replace(self.container, state=state)
        return ContainerChange(action=action, container=self.container, changed=changed)

    async def logs(
        self,
        name: str,
        *,
        follow: bool,
        since: str | None = None,
        until: str | None = None,
        tail: int | None = None,
        line_limit_bytes: int = LOG_LINE_LIMIT_BYTES,
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        self._known(name)
        yield []
        yield [LogLine(text="one"), LogLine(text="two", stream="stderr")]
        if follow:
            raise ProblemError("runtime.unreachable", "dockerd is gone")

    async def exec(self, name: str, request: ExecRequest) -> EchoSession:
        self._known(name)
        return self.session

    def _known(self, name: str) -> None:
        if name not in {"detector", self.container.id}:
            raise ProblemError("container.not_found", f"no container {name!r}", hint="ls")


class FixedExaminer:
    """Always the same finding."""

    def watch(self, at: float, samples: Iterable[GpuSample]) -> None: ...

    async def examine(self, node: Node, clock: ClockOffset | None) -> DoctorReport:
        return _report(node)


def _report(node: Node) -> DoctorReport:
    finding = Finding(
        code="gpu.persistence_off",
        severity="warning",
        subject=f"gpu/{GPU.uuid}",
        title="Persistence mode is off",
        cause="nobody switched it on",
        mend="`nvidia-smi -pm 1`",
    )
    return DoctorReport(
        node=node.name,
        at=0.0,
        checks=[CheckOutcome(check="persistence", outcome="found", findings=[finding])],
    )


def make_node(name: str = "t4", gpu: GpuSource | None = None, *, state: Path | None = None) -> Node:
    """A node over the fixed sources, or over GPUs of the caller's; not started.

    Its images are simulated, or have layers in the folder `state`.
    """
    database = Database(None)
    runtime, jobs = FixedRuntime(), Jobs(database)
    platform = Platform("linux", "amd64")
    return Node(
        name=name,
        gpu=gpu or FixedGpus(),
        host=FixedHost(),
        runtime=runtime,
        examiner=FixedExaminer(),
        audit=AuditLog(database),
        tokens=TokenStore(database),
        jobs=jobs,
        database=database,
        rules=Rules(secrets=Path("/nonexistent")),
        images=(
            simulated_images(runtime=runtime, jobs=jobs, database=database, platform=platform)
            if state is None
            else images_in(state, runtime=runtime, jobs=jobs, database=database, platform=platform)
        ),
    )


def images_in_folder(state: Path, *, admit: Admit | None = None) -> NodeImages:
    """The image side of a node with files in `state`, over the fixed runtime; not started."""
    database = Database(None)
    return images_in(
        state,
        runtime=FixedRuntime(),
        jobs=Jobs(database),
        database=database,
        platform=Platform("linux", "amd64"),
        admit=admit,
    )
