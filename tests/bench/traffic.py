"""Requests at 500/s while a weighted deployment goes 10 → 50 → 100 → old stopped."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.agent.traffic.weighted import PORT, Told, loaded, serving, steered, weighs
from tests.agent.workloads.workload_side import HOOK, WorkloadSide, workload_side
from tests.bench.table import Row
from tests.real import gateway_image
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure

RATE = 500
WEIGHTS = (10, 50, 100)
POINTS = 2.0


class Loaded(NamedTuple):
    told: Told
    seconds: float

    @property
    def rate(self) -> float:
        return self.told.asked / self.seconds


def run(*, short: bool) -> list[Row]:
    """One deployment in steps; `short` with shorter ones."""
    return asyncio.run(_measure(2.0 if short else 15.0))


async def _measure(each: float) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="rt") as name:
        folder = Path(name) / "e"
        folder.mkdir()
        enclosure = Enclosure(folder, network=True)
        try:
            engine = DockerEngine(enclosure)
            engine.add_hook("nvidia-container-runtime-hook", HOOK.format(folder=engine.folder))
            engine.start()
            engine.load_busybox()
            image = gateway_image.load(engine)
            async with workload_side(engine, Path(name) / "agent.db", gateway=image) as node:
                job = await node.apply(serving("one"))
                if job.state != "succeeded":
                    raise RuntimeError(f"the first deployment {job.state}: {job.problem}")
                still = await _unchanged(node, engine, each * len(WEIGHTS))
                stepped = await _steps(node, engine, each)
        finally:
            enclosure.close()
    shares = {weight: stepped.told.share(str(weight), "two") for weight in WEIGHTS}
    off = max(abs(share - weight) for weight, share in shares.items())
    steps = " → ".join(map(str, WEIGHTS))
    return [
        Row(
            name=f"weights {steps} → old stopped, of {stepped.told.asked} requests",
            value=len(stepped.told.failed),
            unit="failed",
            limit=0,
            peer_name=f"no change, of {still.told.asked}",
            peer=len(still.told.failed),
            note=f"{stepped.rate:.0f}/s came to port {PORT}, {still.rate:.0f}/s without a change",
        ),
        Row(
            name="share of requests beside the weight, the worst step",
            value=round(off, 2),
            unit="points",
            limit=POINTS,
            note=", ".join(f"{share:.2f} % at {weight}" for weight, share in shares.items()),
        ),
    ]


async def _unchanged(node: WorkloadSide, engine: DockerEngine, seconds: float) -> Loaded:
    began = time.monotonic()
    async with loaded(engine, RATE) as load:
        await asyncio.sleep(seconds)
        return Loaded(await load.end(), time.monotonic() - began)


async def _steps(node: WorkloadSide, engine: DockerEngine, each: float) -> Loaded:
    deployment = await steered(node, "two")
    began = time.monotonic()
    async with loaded(engine, RATE) as load:
        for weight in WEIGHTS:
            await load.mark("on the way")  # it holds a little before that is told
            await weighs(node, deployment, weight)
            await load.mark(str(weight))
            await asyncio.sleep(each)
        await node.workloads.deployments.confirm(deployment)
        ended = await node.reaches("done", "reverted", "stuck")
        if ended.state != "done":
            raise RuntimeError(f"the deployment is {ended.state}: {ended.problem}")
        await asyncio.sleep(1)
        return Loaded(await load.end(), time.monotonic() - began)
