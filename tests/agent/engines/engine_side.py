"""The engine side of a node with no GPU, over NVIDIA's TensorRT-RTX or a stand-in for it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.containers.docker_runtime import DockerRuntime
from agent.engines.hearing import Silences
from agent.engines.node_engines import EnginePlace, NodeEngines
from agent.jobs.jobs import Jobs
from agent.protocol.engines import (
    BuildRequest,
    Engine,
    EngineRecipe,
    PlanImportRequest,
    VerifyRequest,
)
from agent.protocol.gpus import Gpu, GpuSample, GpuStack
from agent.protocol.jobs import Job
from agent.protocol.node import AgentInfo, HostFacts, NodeFacts, RuntimeFacts, ToolkitFacts
from agent.site.fetching import Fetcher
from agent.store.database import Database

BATCHES = {"images": {"min": [1, 3, 64, 64], "opt": [4, 3, 64, 64], "max": [8, 3, 64, 64]}}
# As the real ones begin: magic, versions, and the version that built it at byte 24.
PLAN = b"ftrt" + bytes(20) + bytes([10, 13, 2, 6]) + b"a plan"
RTX_PLAN = b"vtrt" + PLAN[4:]
A10 = Gpu(uuid="GPU-aaa", index=0, name="NVIDIA A10", compute_capability="8.6")
# What a builder says where an engine was made for another GPU.
UNFIT = (
    "print(json.dumps({'event': 'failed', 'code': 'engine.unfit', 'text': 'compute 7.5, not 8.6'}),"
    " flush=True); sys.exit(1)"
)


class Node(msgspec.Struct):
    """What a test may change of a node at any time."""

    gpus: Sequence[Gpu] = ()
    driver: str = "580.95.05"
    samples: Sequence[GpuSample] = ()


class EngineSide(msgspec.Struct):
    """A node's engines and its jobs."""

    engines: NodeEngines
    jobs: Jobs
    folder: Path

    async def begin(
        self, onnx: Path, *, rebuild: bool = False, gpu: str | None = None, **changes: Any
    ) -> Job:
        """The job that builds it."""
        made = recipe(onnx, **changes)
        request = BuildRequest(recipe=made, rebuild=rebuild, gpu=gpu)
        return await self.engines.build(request, owner="maria", key=None)

    async def build(self, onnx: Path, **changes: Any) -> Job:
        """Begin, and wait for the end."""
        return await self.ended(await self.begin(onnx, **changes))

    async def verify(self, model: str = "detector", **asked: Any) -> Job:
        """Try its engine in use again, and wait for the end."""
        request = VerifyRequest(**asked)
        return await self.ended(await self.engines.verify(model, request, owner="maria", key=None))

    async def take_in(self, plan: Path, *, model: str = "imported", **asked: Any) -> Job:
        """Import a plan, and wait for the end."""
        request = PlanImportRequest(model=model, plan=str(plan), **asked)
        return await self.ended(await self.engines.take_in(request, owner="maria", key=None))

    async def only(self, model: str = "detector") -> Engine:
        """The one engine that there is of it."""
        (engine,) = await self.engines.show(model)
        return engine

    async def ended(self, job: Job) -> Job:
        """The job when it has ended."""
        async for _ in self.jobs.log(job.id):
            pass
        return self.jobs.get(job.id)

    async def log(self, job: Job) -> str:
        """Its lines so far."""
        lines = [line.text async for batch in self.jobs.log(job.id, follow=False) for line in batch]
        return "\n".join(lines)

    async def said(self, job: Job, words: str) -> None:
        """Wait until they are in its log; the test's own time-out is the limit."""
        while words not in await self.log(job):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    def files(self) -> list[str]:
        """All that lies in models' folders, but for what is in the engines' own."""
        found = (path.relative_to(self.folder) for path in self.folder.glob("*/*"))
        return sorted(str(path) for path in found if not path.parts[0].startswith("."))


def put(file: Path, data: bytes) -> None:
    """Write a file, in a test that is asynchronous."""
    file.write_bytes(data)


def content(file: str | Path) -> bytes:
    """Read a file, in a test that is asynchronous."""
    return Path(file).read_bytes()


def recipe(onnx: Path, **changes: Any) -> EngineRecipe:
    """For the detector of `tests.onnx_made`."""
    said: dict[str, Any] = {
        "model": "detector",
        "profiles": [BATCHES],
        "compute_capabilities": ["8.6"],
        **changes,
    }
    return msgspec.convert({"onnx": str(onnx), **said}, EngineRecipe)


@contextlib.asynccontextmanager
async def engine_side(
    state: Path,
    pythons: Sequence[Path] = (Path(sys.executable),),
    *,
    gpus: Sequence[Gpu] = (),
    keep: int = 3,
    runtime: str | None = None,
    node: Node | None = None,
    roots: Sequence[Path] = (),
    folder: Path | None = None,
    silences: Silences | None = None,
    wait_seconds: float = 60.0,
    fetcher: Fetcher | None = None,
    only_signed: bool = False,
) -> AsyncIterator[EngineSide]:
    """Started; ended as an agent is by SIGTERM.

    `runtime` is where one answers, `node` what a test may change of its facts.
    """
    database = Database(state / "agent.db")
    jobs = Jobs(database)
    place = EnginePlace(
        folder=folder or state / "engines",
        pythons=pythons,
        keep=keep,
        roots=roots,
        silences=silences or Silences(),
        wait_seconds=wait_seconds,
        only_signed=only_signed,
    )
    node = node or Node(gpus=gpus)
    docker = None if runtime is None else DockerRuntime([runtime])
    if docker is not None:
        await docker.start()
    engines = NodeEngines(
        place=place,
        jobs=jobs,
        facts=lambda: facts(node),
        samples=lambda: node.samples,
        runtime=docker,
        fetcher=fetcher,
    )
    await engines.start()
    await jobs.start()
    try:
        yield EngineSide(engines, jobs, place.folder)
    finally:
        await jobs.stop()
        await engines.stop()
        if docker is not None:
            await docker.stop()
        await asyncio.to_thread(database.close)


def facts(node: Node) -> NodeFacts:
    """Of that node."""
    return NodeFacts(
        name="t4",
        agent=AgentInfo(version="0", api_version="1", boot="b", started_at=0.0),
        host=HostFacts(
            hostname="t4",
            os="Ubuntu",
            kernel="6",
            architecture="amd64",
            cpu_count=2,
            memory_total_bytes=16 * 2**30,
        ),
        gpu_stack=GpuStack(state="ok", source="nvml", driver_version=node.driver),
        gpus=list(node.gpus),
        toolkit=ToolkitFacts(hook_path="/usr/bin/nvidia-container-runtime-hook"),
        runtime=RuntimeFacts(state="ok", name="Docker Engine"),
        disks=[],
    )


# It measures nothing: a larger batch has more items a second, and takes longer.
LATENCIES = """
def latencies(job):
    shapes = [each["opt"] for profile in job["profiles"] or [] for each in profile.values()]
    batch = shapes[0][0] if shapes else 1
    return [{
        "profile": 0, "batch": batch, "shapes": {}, "iterations": job["validation"]["iterations"],
        "p50_ms": 1.0 + batch, "p99_ms": 2.0 + batch, "mean_ms": 1.0 + batch,
        "throughput": 1000 * batch / (1 + batch),
    }]
"""


def stand_in(folder: Path, ending: str = "", *, begin: str = "", plan: bytes = PLAN) -> Path:
    """A builder that is none: it tells the events of a build and writes a few bytes.

    `begin` is Python that runs before anything is said, `ending` when the model is parsed: it
    knows the `job`. GPU memory, outputs and latencies are made up.
    """
    parsed = {"event": "parsed", "layers": 1, "inputs": [], "outputs": []}
    built = {
        "event": "built",
        "seconds": 0.1,
        "plan_bytes": len(plan),
        "header": {"serialization": 0, "version": [10, 13, 2, 6]},
        "peak_memory_bytes": 1,
    }
    memory = {"before_bytes": 1, "engine_bytes": 2, "after_bytes": 3}
    versions = {
        "event": "versions",
        "flavour": "tensorrt",
        "tensorrt": "10.13.2.6",
        "python": "3.10.12",
    }
    lines = [
        f"#!{sys.executable}",
        "import json, os, pathlib, signal, sys, time",
        LATENCIES,
        "def tell(event):",
        "    print(json.dumps(event), flush=True)",
        *begin.splitlines(),
        f"tell({versions!r})",
        "if sys.argv[-1].endswith('job.json'):",
        "    job = json.loads(pathlib.Path(sys.argv[-1]).read_text())",
        f"    tell({parsed!r})",
        *(f"    {line}" for line in ending.splitlines()),
        "    if job['action'] == 'build':",
        f"        pathlib.Path(job['plan']).write_bytes({plan!r})",
        f"        tell({built!r})",
        "    ran = job['validation']['iterations'] > 0",
        "    tell({'event': 'checked', 'state': 'ran' if ran else 'deserialised', 'reason': None,",
        f"          'gpu_memory': {memory!r}, 'latencies': latencies(job) if ran else []}})",
        "tell({'event': 'done'})",
    ]
    script = folder / "python"
    # Whole or not at all: another one may be starting it.
    new = folder / "python.new"
    new.write_text("\n".join(lines) + "\n")
    new.chmod(0o755)
    new.replace(script)
    return script


def rtx_stand_in(folder: Path, ending: str = "", *, begin: str = "") -> Path:
    """It needs no GPU, and says that what it made ran."""
    script = stand_in(folder, ending, begin=begin, plan=RTX_PLAN)
    script.write_text(
        script.read_text().replace("'flavour': 'tensorrt'", "'flavour': 'tensorrt_rtx'")
    )
    return script
