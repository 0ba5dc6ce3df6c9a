"""Engines: what the worker adds to NVIDIA's own builder, and what a build costs the agent."""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil

from agent.engines import worker
from agent.engines.worker_task import TaskPath, WorkerTask
from tests import onnx_made
from tests.agent.engines.engine_side import RTX_PLAN, recipe, rtx_stand_in
from tests.agent.workloads.workload_side import HOOK
from tests.agent_process import AgentProcess
from tests.bench import bare_builder
from tests.bench.sampled import MemoryGrowth
from tests.bench.table import Row
from tests.real import python_image
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure
from tests.real.python_image import WITH_TENSORRT

MEGABYTE = 10**6
# Some 12 s of builder on one core; its time grows with the square of the layers.
BLOCKS, CHANNELS = 1150, 32
PLAN_BYTES = 200 * MEGABYTE
LOOK_SECONDS = 0.002
WAIT_SECONDS = 600.0


def run(*, short: bool) -> list[Row]:
    """Measure all; `short` with a model of a tenth of the layers, and fewer rounds."""
    blocks, rounds = (BLOCKS // 10, 1) if short else (BLOCKS, 3)
    with tempfile.TemporaryDirectory(prefix="rb") as name:
        folder = Path(name)
        large = folder / "large.onnx"
        large.write_bytes(onnx_made.detector(blocks=blocks, channels=CHANNELS))
        rows = _overhead(folder, large, rounds)
        with AgentProcess(folder, {"engines": {"python": sys.executable}}) as agent:
            rows += _hits(agent, folder, 5 if short else 25)
            rows += _cancels(agent, large, rounds)
            rows += _memory(agent, folder, (60 if short else 600) * MEGABYTE)
        rows += _large_hits(folder / "l", 5 if short else 25)
        with _engine(folder / "e") as engine:
            inside = folder / "inside"
            inside.mkdir(mode=0o755)  # the image's user reads the model there
            model = inside / "large.onnx"
            shutil.copyfile(large, model)
            with AgentProcess(inside, {"runtime": engine.url}) as agent:
                rows += _cancels_in_containers(agent, engine, model, rounds)
    return rows


def _overhead(folder: Path, onnx: Path, rounds: int) -> list[Row]:
    """The worker beside the bare builder, each as a process of its own, in turn."""
    plan, job = folder / "model.plan", folder / "job.json"
    ours, theirs = [], []
    made = recipe(onnx)
    task = WorkerTask(
        job="bench",
        place=folder,
        action="build",
        flavour="tensorrt_rtx",
        recipe=made,
        validation=made.validation,
        gpu=None,
        paths=[TaskPath("onnx", onnx), TaskPath("plan", plan, writable=True)],
    )
    job.write_bytes(msgspec.json.encode(task.described(lambda each: str(each.path))))
    for _ in range(rounds):
        theirs.append(_seconds([sys.executable, bare_builder.__file__, onnx, plan]))
        ours.append(_seconds([sys.executable, "-I", worker.__file__, job]))
    best = statistics.median(theirs)
    return [
        Row(
            name=f"worker, a model of {onnx.stat().st_size // MEGABYTE} MB",
            value=statistics.median(ours),
            unit="s",
            limit=1.05 * best,
            peer_name="TensorRT-RTX's builder alone",
            peer=best,
        )
    ]


def _large_hits(folder: Path, rounds: int) -> list[Row]:
    """With a plan of the size of a large detector's: a stand-in for a builder writes noise."""
    folder.mkdir()
    python = rtx_stand_in(folder)
    small, size = len(RTX_PLAN), PLAN_BYTES
    text = python.read_text()
    for before, after in (
        (f"write_bytes({RTX_PLAN!r})", f"write_bytes({RTX_PLAN!r} + os.urandom({size - small}))"),
        (f"'plan_bytes': {small}", f"'plan_bytes': {size}"),
    ):
        if before not in text:
            raise RuntimeError(f"the stand-in has no {before}")
        text = text.replace(before, after)
    python.write_text(text)
    with AgentProcess(folder, {"engines": {"python": str(python)}}) as agent:
        return _hits(agent, folder, rounds, f"an engine of {size // MEGABYTE} MB (a stand-in)")


def _hits(agent: AgentProcess, folder: Path, rounds: int, what: str = "an engine") -> list[Row]:
    """What is there already, from the request that was taken to the end of its job."""
    onnx = folder / "small.onnx"
    onnx.write_bytes(onnx_made.detector())
    made = msgspec.to_builtins(recipe(onnx))
    _ended(agent, _build(agent, made))
    jobs = [_ended(agent, _build(agent, made)) for _ in range(rounds)]
    if any(job["result"]["engine"] != "was there" for job in jobs):
        raise RuntimeError(f"it was built again: {jobs}")
    return [
        Row(
            name=f"{what} that is there, by its key, in the agent that built it",
            value=statistics.median(1000 * (job["ended_at"] - job["created_at"]) for job in jobs),
            unit="ms",
            limit=50,
        )
    ]


def _cancels(agent: AgentProcess, onnx: Path, rounds: int) -> list[Row]:
    """From the wish to the end of the job and of every process that it had started."""
    assert agent.process is not None
    process = psutil.Process(agent.process.pid)
    taken = []
    for _ in range(rounds):
        job = _build(agent, msgspec.to_builtins(recipe(onnx)))
        _until(partial(_under_way, agent, job))
        if not process.children(recursive=True):
            raise RuntimeError("no builder is at work")
        started = time.monotonic()
        with agent.client() as client:
            client.post(f"/v1/jobs/{job}/cancel").raise_for_status()
        _until(lambda: not process.children(recursive=True))
        _ended(agent, job, state="cancelled")
        taken.append(time.monotonic() - started)
    return [Row(name="a build is cancelled", value=max(taken), unit="s", limit=2)]


def _cancels_in_containers(
    agent: AgentProcess, engine: DockerEngine, onnx: Path, rounds: int
) -> list[Row]:
    """From the wish to the end of the job and of its container, which is removed then."""
    made = msgspec.to_builtins(recipe(onnx, executor="container", image=WITH_TENSORRT))
    taken = []
    for _ in range(rounds):
        job = _build(agent, made)
        _until(partial(_under_way, agent, job))
        if not engine.docker("ps", "--quiet"):
            raise RuntimeError("no container is at work")
        started = time.monotonic()
        with agent.client() as client:
            client.post(f"/v1/jobs/{job}/cancel").raise_for_status()
        _until(lambda: not engine.docker("ps", "--all", "--quiet"))
        _ended(agent, job, state="cancelled")
        taken.append(time.monotonic() - started)
    return [Row(name="a build in a container is cancelled", value=max(taken), unit="s", limit=2)]


@contextlib.contextmanager
def _engine(folder: Path) -> Iterator[DockerEngine]:
    folder.mkdir()
    enclosure = Enclosure(folder, network=True)
    try:
        engine = DockerEngine(enclosure)
        engine.add_hook("nvidia-container-runtime-hook", HOOK.format(folder=engine.folder))
        engine.start()
        python_image.load(engine)
        yield engine
    finally:
        enclosure.close()


def _memory(agent: AgentProcess, folder: Path, data_bytes: int) -> list[Row]:
    """The agent's own, while it reads a large model for its digest and has it built."""
    assert agent.process is not None
    large = folder / "external"
    large.mkdir()
    onnx = onnx_made.with_external_data(large, data_bytes=data_bytes)
    rows = data_bytes // 4 // 1024
    sizes = {end: [1, rows] for end in ("min", "opt", "max")}
    made = msgspec.to_builtins(recipe(onnx, model="large", profiles=[{"x": sizes}]))
    with MemoryGrowth(agent.process.pid) as memory:
        built = _ended(agent, _build(agent, made))
    if built["result"].get("engine") != "built":
        raise RuntimeError(f"it was not built: {built}")
    return [
        Row(
            name=f"agent's memory growth, a build from {data_bytes // MEGABYTE} MB",
            value=memory.growth_mib * 2**20 / MEGABYTE,
            unit="MB",
            limit=10,
        )
    ]


def _build(agent: AgentProcess, made: dict[str, Any]) -> str:
    with agent.client() as client:
        answer = client.post("/v1/engines/build", json={"recipe": made}).raise_for_status()
    job: str = answer.json()["id"]
    return job


def _job(agent: AgentProcess, job: str) -> dict[str, Any]:
    found: dict[str, Any] = agent.get(f"/v1/jobs/{job}")
    return found


def _under_way(agent: AgentProcess, job: str) -> bool:
    return _job(agent, job)["done"] is not None


def _ended(agent: AgentProcess, job: str, *, state: str = "succeeded") -> dict[str, Any]:
    _until(lambda: _job(agent, job)["ended_at"])
    found = _job(agent, job)
    if found["state"] != state:
        raise RuntimeError(f"{job} ended as {found['state']}: {found['problem']}")
    return found


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("what the benchmark waits for does not come")
        time.sleep(LOOK_SECONDS)


def _seconds(command: list[str | Path]) -> float:
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout.decode()} {done.stderr.decode()}")
    return time.monotonic() - started
