"""The workload side of a node over a real runtime, with GPUs that only its facts know."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from agent.containers.docker_runtime import DockerRuntime
from agent.engines.node_engines import EnginePlace, NodeEngines
from agent.host.cdi import read_cdi_specs
from agent.jobs.jobs import Jobs
from agent.protocol.deployments import (
    ApplyRequest,
    Deployment,
    DeployOptions,
    PinRequest,
    PlannedWorkload,
)
from agent.protocol.gpus import Gpu, GpuSample, GpuStack
from agent.protocol.jobs import Job
from agent.protocol.node import AgentInfo, HostFacts, NodeFacts, ToolkitFacts
from agent.protocol.workloads import GpuRequest, Workload
from agent.store.database import Database
from agent.traffic.gateways import Gateways
from agent.traffic.node_traffic import NodeTraffic
from agent.workloads.applying import Rules
from agent.workloads.lease import BootClock
from agent.workloads.node_workloads import NodeWorkloads
from tests.real.busybox import IMAGE
from tests.real.runtime import PrivateRuntime

GPUS = [
    Gpu(
        uuid=f"GPU-{letter * 8}-0000", index=index, name="NVIDIA A10", memory_total_bytes=24 * 2**30
    )
    for index, letter in enumerate("abc")
]
UUIDS = [gpu.uuid for gpu in GPUS]
HOOK = """#!/bin/sh
cat > {folder}/hook-said.json
[ -e {folder}/hook-fails ] && {{ echo "no such GPU" >&2; exit 1; }}
exit 0
"""
# Lists what process 1 was given, as the real one lists what the toolkit put there: by a CDI device
# of `cdi_spec`, or else by the hook.
SMI = """#!/bin/sh
given() { tr '\\0' '\\n' </proc/1/environ | sed -n "s/^$1=//p"; }
seen=$(given 'STUB_GPU_[0-9]*' | tr '\\n' ,)
[ -n "$seen" ] || seen=$(given NVIDIA_VISIBLE_DEVICES | tail -n 1)
[ "$seen" != void ] || seen=
[ -e /lies ] && seen=$(cat /lies)
[ -n "$seen" ] || { echo "No devices were found"; exit 6; }
index=0
for gpu in $(echo "$seen" | tr , ' '); do
  echo "GPU $index: NVIDIA GeForce RTX 3090 (UUID: $gpu)"
  index=$((index + 1))
done
"""
SERVES = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]


class Node(msgspec.Struct):
    """What the node's facts say of its GPUs; a test may change it at any time."""

    gpus: list[Gpu] = msgspec.field(default_factory=lambda: list(GPUS))
    hook: bool = True
    cdi_dir: Path | None = None  # where the runtime has its CDI specifications from
    booted_at: float | None = None  # Unix time


class WorkloadSide(msgspec.Struct):
    """A node's workloads, its jobs, and the runtime below them."""

    engine: PrivateRuntime
    workloads: NodeWorkloads
    jobs: Jobs
    runtime: DockerRuntime
    node: Node
    engines: NodeEngines
    traffic: NodeTraffic

    async def ended(self, job: Job) -> Job:
        """The job when it has ended."""
        async for _ in self.jobs.log(job.id):
            pass
        return self.jobs.get(job.id)

    async def pin(self, container: str, select: str, **more: Any) -> Job:
        """Pin and wait for the end."""
        return await self.ended(await self.begin_pin(container, select, **more))

    async def begin_pin(self, container: str, select: str, **more: Any) -> Job:
        request = pin_request(select, **more)
        return await self.workloads.pin(container, request, owner="maria", key=None)

    async def undo(self, workload: str, *, by: str = "maria") -> Job:
        """Take its newest deployment back, and wait for the end."""
        newest = (await self.workloads.show(workload)).deployment
        assert newest is not None
        return await self.ended(await self.workloads.deployments.revert(newest, by=by, why="undo"))

    def deployment(self) -> Deployment:
        """The newest one, whatever became of it."""
        return self.workloads._store.deployments()[0].shown

    async def reaches(self, *states: str) -> Deployment:
        """The newest deployment once it is in one of these states."""
        while self.deployment().state not in states:  # noqa: ASYNC110 - as good
            await asyncio.sleep(0)
        return self.deployment()

    def run(self, name: str, *options: str, command: Sequence[str] = SERVES) -> str:
        """`docker run` of a container that has nvidia-smi; its id."""
        smi = self.engine.folder / "nvidia-smi"
        smi.write_text(SMI)
        smi.chmod(0o755)
        said = self.engine.docker(
            "run", "--detach", f"--name={name}", "--volume", f"{smi}:/bin/nvidia-smi:ro",
            *options, IMAGE, *command,
        )  # fmt: skip
        return said.splitlines()[-1]

    def environment(self, name: str) -> list[str]:
        """What process 1 of a container was given."""
        pid = self.inspect(name)["State"]["Pid"]
        return Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")

    async def apply(self, *workloads: Workload, release: str = "r1", **options: Any) -> Job:
        """Apply and wait for the end."""
        request = ApplyRequest(
            release=release, workloads=list(workloads), options=DeployOptions(**options)
        )
        return await self.ended(await self.workloads.apply(request, owner="maria", key=None))

    async def plan(self, *workloads: Workload) -> list[PlannedWorkload]:
        """What an apply would do."""
        request = ApplyRequest(release="r1", workloads=list(workloads))
        return (await self.workloads.plan_apply(request)).workloads

    def inspect(self, name: str) -> Any:
        """What `docker inspect` says of a container."""
        return json.loads(self.engine.docker("inspect", "--type=container", name))[0]

    def names(self) -> dict[str, str]:
        """State by name of all containers."""
        said = self.engine.docker("ps", "--all", "--format", "{{.Names}} {{.State}}")
        return dict(sorted(line.split(" ") for line in said.splitlines()))


def pin_request(select: str, *, soak: float = 0.0, **more: Any) -> PinRequest:
    """A pin that soaks for as good as no time."""
    gpu = {key: more.pop(key) for key in list(more) if key in GpuRequest.__struct_fields__}
    return PinRequest(gpu=GpuRequest(select=select, **gpu), soak=soak, **more)


def cdi_spec(folder: Path, devices: Mapping[str, Gpu]) -> None:
    """Write a CDI specification with these devices: what `SMI` lists, and `void` as NVIDIA's do."""
    spec = {
        "cdiVersion": "0.5.0",
        "kind": "nvidia.com/gpu",
        "containerEdits": {"env": ["NVIDIA_VISIBLE_DEVICES=void"]},
        "devices": [
            {"name": name, "containerEdits": {"env": [f"STUB_GPU_{gpu.index}={gpu.uuid}"]}}
            for name, gpu in devices.items()
        ],
    }
    folder.mkdir(exist_ok=True)
    (folder / "nvidia.json").write_text(json.dumps(spec))


def facts(engine: PrivateRuntime, node: Node, *, runtime: Any) -> NodeFacts:
    """A node with three RTX 3090, NVIDIA's hook unless it has none, and its CDI specifications."""
    specs = read_cdi_specs(dirs=[str(node.cdi_dir)]) if node.cdi_dir else []
    return NodeFacts(
        name="a10",
        agent=AgentInfo(version="1", api_version="1.0", boot="b", started_at=0.0),
        host=HostFacts(
            hostname="a10",
            os="Debian GNU/Linux 12",
            kernel="6.1",
            architecture="amd64",
            cpu_count=2,
            memory_total_bytes=2**30,
            booted_at=node.booted_at,
        ),
        gpu_stack=GpuStack(
            state="ok", source="nvml", driver_version="535.183.01", cuda_version="12.2"
        ),
        gpus=node.gpus,
        toolkit=ToolkitFacts(
            version="1.14.0",
            hook_path=str(engine.folder / "hooks" / "hook") if node.hook else None,
            cdi_specs=[spec.path for spec in specs],
            cdi_devices=[f"{spec.kind}={name}" for spec in specs for name in spec.devices],
        ),
        runtime=runtime,
        disks=[],
    )


@asynccontextmanager
async def workload_side(
    engine: PrivateRuntime,
    database: Path,
    *,
    samples: Callable[[], Sequence[GpuSample]] = list,
    rules: Rules | None = None,
    node: Node | None = None,
    engines: EnginePlace | None = None,
    gateway: str = "no/gateway:1",
    boot_clock: BootClock | None = None,
) -> AsyncIterator[WorkloadSide]:
    """Like an agent that has just started over this runtime and this database.

    `engines`: where its engines lie; None: it has none, as a simulated one. `gateway`: the image
    that its proxies are made from; they are in the runtime's own network, as the ports are.
    """
    around = node or Node()
    runtime = DockerRuntime([engine.url])
    await runtime.start()
    known = await runtime.facts()
    stored = Database(database)
    jobs = Jobs(stored)
    node_engines = NodeEngines(
        place=engines,
        jobs=jobs,
        facts=lambda: facts(engine, around, runtime=known),
        runtime=runtime,
        bound=lambda: workloads.bound(),  # noqa: PLW0108 - it is not there yet
    )
    files = engine.folder / "traffic"
    traffic = NodeTraffic(
        runtime,
        Gateways(runtime, gateway, files),
        files,
        image=gateway,
        network=Path(f"/proc/{engine.enclosure.pid}/ns/net"),
    )
    workloads = NodeWorkloads(
        runtime=runtime,
        jobs=jobs,
        database=stored,
        rules=rules or Rules(secrets=engine.folder / "secrets"),
        facts=lambda: facts(engine, around, runtime=known),
        samples=samples,
        traffic=traffic,
        engines=node_engines,
        boot_clock=boot_clock,
    )
    await node_engines.start()
    await workloads.start()
    await jobs.start()
    try:
        yield WorkloadSide(engine, workloads, jobs, runtime, around, node_engines, traffic)
    finally:
        await jobs.stop()
        await node_engines.stop()
        await workloads.stop()
        await runtime.stop()
        stored.close()
