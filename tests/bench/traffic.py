"""Requests at 500/s while a weighted deployment goes 10 → 50 → 100 → old stopped; and how soon a
candidate that fails gets no more of them."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from console.rollouts.judging.analysis import Analysis
from tests.agent.traffic.weighted import PORT, Told, loaded, serving, steered, weighs
from tests.agent.workloads.workload_side import HOOK, WorkloadSide, workload_side
from tests.bench.table import Row
from tests.console.rollouts.kills.scene import staged
from tests.console.rollouts.kills.shop import Shop
from tests.real import gateway_image, python_image
from tests.real.docker_engine import DockerEngine
from tests.real.enclosure import Enclosure

RATE = 500
OFFERED = 0.95  # of the rate: with less a row says nothing
# Half of them are the candidate's, which fails 1 of 20.
JUDGED_RATE, HALF, FAILS = 200, 50, 20
BACK_SECONDS = 15.0
AFTER_SECONDS = 3.0
WEIGHTS = (10, 50, 100)
POINTS = 2.0


class Loaded(NamedTuple):
    told: Told
    seconds: float

    @property
    def rate(self) -> float:
        return self.told.asked / self.seconds


def run(*, short: bool) -> list[Row]:
    """One deployment in steps, `short` with shorter ones; and one that is judged."""
    return [*asyncio.run(_measure(2.0 if short else 15.0)), _fails()]


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
            void=min(stepped.rate, still.rate) < OFFERED * RATE,
        ),
        Row(
            name="share of requests beside the weight, the worst step",
            value=round(off, 2),
            unit="points",
            limit=POINTS,
            note=", ".join(f"{share:.2f} % at {weight}" for weight, share in shares.items()),
            void=stepped.rate < OFFERED * RATE,
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


def _fails() -> Row:
    """From the first failed answer until the last that came from the candidate at all.

    The runner is the one that `rollout start` begins, at its own pace; the release says nothing of
    how it is to be judged.
    """
    with tempfile.TemporaryDirectory(prefix="rt") as name:
        folders = (Path(name) / each for each in "ab")

        def made() -> Path:
            folder = next(folders)
            folder.mkdir()
            return folder

        with staged(made, Shop) as shop:
            python_image.load_plain(shop.engine)
            with shop.let_out(
                JUDGED_RATE, Analysis(), soak=600.0, weight=HALF, ways=["calm"], FAILS=str(FAILS)
            ) as (running, load):
                began = time.monotonic()
                rollout = running.ended()
                time.sleep(AFTER_SECONDS)  # what the old one alone answers
                told = asyncio.run(load.end())
                rate = told.asked / (time.monotonic() - began)
            new = next(answer for answer in told.last if answer not in ("none", shop.version))
    if rollout.state != "failed" or told.failed_at is None:
        raise RuntimeError(f"the rollout is {rollout.state}: {rollout.why}")
    [answers] = told.answers.values()
    quiet = told.last[shop.version] - told.last[new]
    return Row(
        name=f"a candidate that fails {100 / FAILS:g} %: from its first error to its last request",
        value=told.last[new] - told.failed_at,
        unit="s",
        limit=BACK_SECONDS,
        note=f"it answered {answers[new]} requests, {len(told.failed)} with 500, and then none for"
        f" {quiet:.0f} s; {rate:.0f}/s came",
        void=rate < OFFERED * JUDGED_RATE or quiet < AFTER_SECONDS / 2,
    )
