"""GPU figures of two real containers, from a stub driver under the real reader."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from agent.containers.docker_runtime import DockerRuntime
from agent.live.history import HistoryStore
from agent.live.sampler import Sampler
from agent.measuring.arm_watch import ArmOf
from agent.measuring.gpu_watch import Moment
from agent.measuring.requests import Requests
from agent.measuring.sources import real_sources
from agent.measuring.workload_watch import Means, WorkloadWatch
from agent.protocol.arms import Arm, ArmGpu
from tests.agent.doubles import FixedHost
from tests.agent.gpu.conftest import Node as Machine
from tests.agent.gpu.conftest import node, stub_builder
from tests.agent.measuring.test_measures_real import no_look, run
from tests.nvml_stub import scenario as scenarios
from tests.real.docker_engine import DockerEngine

__all__ = ["node", "stub_builder"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

GPUS = [scenarios.uuid_of(0), scenarios.uuid_of(1)]
MEBIBYTE = 2**20


async def test_each_arm_has_what_its_own_processes_do(node: Machine, engine: DockerEngine) -> None:
    node.install(scenarios.h200(node.scenario.path, count=2))
    stable, candidate = run(engine, "stable"), run(engine, "candidate")
    uses = {stable: {0: 100}, candidate: {0: 300, 1: 50}}
    numbers = {0: 0, 1: 0}
    for container, gpus in uses.items():
        pid = json.loads(engine.docker("inspect", container))[0]["State"]["Pid"]
        (node.proc / str(pid)).symlink_to(f"/proc/{pid}")
        for gpu, mebibytes in gpus.items():
            node.scenario.process(gpu, number=numbers[gpu], pid=pid, memory=mebibytes * MEBIBYTE)
            numbers[gpu] += 1
    node.scenario.save()
    runtime = DockerRuntime([engine.url])
    await runtime.start()
    sampler = Sampler(
        gpu=node.source(),
        host=FixedHost(),
        runtime=runtime,
        history=HistoryStore(),
        on_tick=lambda: None,
        in_thread=False,
    )
    sources = real_sources(runtime, lambda *_: Requests())
    watch = WorkloadWatch(
        "web",
        ArmOf("stable", stable, GPUS[:1]),
        ArmOf("candidate", candidate, GPUS),
        means=Means(
            reader=sources.reader,
            send=sources.send,
            requests=sources.requests,
            look_inside=no_look,
            clock=time.monotonic,
            window=lambda: "1",
        ),
        measures=[],
        replay=None,
    )
    seen = 0

    async def until(xids: int, mebibytes: float) -> tuple[Arm, Arm]:
        """The arms once the candidate has so many of both."""
        nonlocal seen
        while True:
            await sampler.tick()
            new, seen = sampler.xids[seen:], len(sampler.xids)
            watch.take(
                Moment(
                    time.monotonic(), sampler.latest, sampler.inventory, runtime.containers(), new
                )
            )
            told = watch.shown()
            memory = told.candidate.gpu_memory_bytes
            counted = sum(gpu.xids or 0 for gpu in told.candidate.gpus or [])
            if memory and memory.last == mebibytes * MEBIBYTE and counted == xids:
                return told.stable, told.candidate
            await asyncio.sleep(0.02)

    one, other = await until(0, 350)
    assert memory_of(one) == [100]
    assert memory_of(other) == [300, 50]
    assert [gpu.shared_with for gpu in other.gpus or []] == [["stable"], []]
    assert [gpu.shared_with for gpu in one.gpus or []] == [["candidate"]]
    assert all(gpu.temperature_celsius.count for gpu in other.gpus or [])

    node.scenario.xid(1, 79)
    node.scenario.xid(0, 31)
    node.scenario.save()
    one, other = await until(2, 350)
    assert [gpu.xid_codes for gpu in other.gpus or []] == [[31], [79]]
    assert [gpu.xid_codes for gpu in one.gpus or []] == [[31]]

    engine.docker("kill", candidate)
    node.scenario.process(1, number=0, pid=None)
    node.scenario.save()
    while watch.shown().candidate.runs:
        watch.look(runtime.containers())
        await asyncio.sleep(0.02)
    told = watch.shown().candidate
    assert sum(gpu.xids or 0 for gpu in told.gpus or []) == 2
    await runtime.stop()


def memory_of(arm: Arm) -> list[float]:
    """MiB on each of its GPUs."""
    return [_last(gpu) / MEBIBYTE for gpu in arm.gpus or []]


def _last(gpu: ArmGpu) -> float:
    assert gpu.memory_bytes.last is not None, gpu.memory_bytes
    return gpu.memory_bytes.last
