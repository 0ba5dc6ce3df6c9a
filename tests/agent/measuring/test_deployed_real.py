"""A deployment to a real Docker Engine that is measured while somebody is to confirm it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.doctor.inside import InsideLooker
from agent.live.history import HistoryStore
from agent.live.sampler import Sampler
from agent.measuring.measuring import Measuring
from agent.measuring.requests import NO_PROXY, requests_of
from agent.measuring.sources import real_sources
from agent.protocol.arms import Arm, Arms, WorkloadArms
from agent.protocol.deployments import ApplyRequest, DeployOptions
from agent.protocol.measures import ExecMeasure, Measure, PrometheusMeasure, Replay
from agent.protocol.plan_request import PlanRequest
from agent.protocol.workloads import HttpProbe, Mount, Port, Workload
from agent.workloads.gpu_check import GpuCheck
from tests.agent.doubles import FixedGpus, FixedHost
from tests.agent.measuring import endpoint
from tests.agent.traffic.weighted import loaded
from tests.agent.workloads.workload_side import WorkloadSide, workload_side
from tests.real import gateway_image
from tests.real.docker_engine import DockerEngine
from tests.real.python_image import WITHOUT_TENSORRT

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

DEPTH = PrometheusMeasure(
    name="depth", port=endpoint.PORT, metric="queue_depth", interval=1.0, timeout=2.0
)
HANGS = PrometheusMeasure(
    name="hangs", port=endpoint.PORT, path="/hang", metric="queue_depth", interval=1.0, timeout=60.0
)
REPLAY = Replay(port=endpoint.PORT, method="POST", path="/infer", body=b"\x00image\xff", rate=20.0)


def web(release: str, **more: Any) -> Workload:
    script = Path(endpoint.__file__)
    given: dict[str, Any] = {
        "command": ["python3", "/endpoint.py"],
        "mounts": [Mount(kind="bind", source=str(script), target="/endpoint.py", read_only=True)],
        "environment": {"RELEASE": release},
        "stop_signal": "SIGKILL",
        "soak": 0.0,
    }
    return Workload(name="web", image=WITHOUT_TENSORRT, **{**given, **more})


@asynccontextmanager
async def measured(
    engine: DockerEngine, database: Path
) -> AsyncIterator[tuple[WorkloadSide, Measuring]]:
    """Like an agent that has just started, and samples a few times a second."""
    async with workload_side(engine, database, gateway=gateway_image.IMAGE) as node:
        sampler = Sampler(
            gpu=FixedGpus(),
            host=FixedHost(),
            runtime=node.runtime,
            history=HistoryStore(),
            on_tick=lambda: None,
            in_thread=False,
        )
        measuring = Measuring(
            workloads=node.workloads,
            runtime=node.runtime,
            sampler=sampler,
            sources=real_sources(
                node.runtime, lambda name, *_: requests_of(node.traffic.figures(name))
            ),
            check=GpuCheck(node.runtime, InsideLooker(node.runtime)),
            gpus=list,
        )

        async def ticks() -> None:
            while True:
                await sampler.tick()
                measuring.sampled()
                await asyncio.sleep(0.2)

        task = asyncio.create_task(ticks())
        try:
            yield node, measuring
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await measuring.stop()


async def answered(measuring: Measuring, deployment: str) -> WorkloadArms:
    """The arms once the candidate was read and has answered replays."""
    while True:
        arms = await measuring.arms(deployment)
        if arms.workloads:
            [found] = arms.workloads
            replayed = found.candidate.replayed
            depth = found.candidate.measures.get("depth")
            if replayed is not None and replayed.latency and depth is not None and depth.count:
                return found
        await asyncio.sleep(0.05)


async def begin(node: WorkloadSide, **options: Any) -> str:
    request = ApplyRequest(release="r2", workloads=[web("2")], options=DeployOptions(**options))
    await node.workloads.apply(request, owner="maria", key=None)
    return (await node.reaches("canary")).id


async def test_a_plan_warns_of_metrics_that_what_runs_now_has_not(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """Not of a counter that takes two readings; and no command is run."""
    missing = msgspec.structs.replace(DEPTH, name="missing", metric="queue_length")
    rate = msgspec.structs.replace(DEPTH, name="rate", metric="frames_total", read="rate")
    command = ExecMeasure(name="command", command=["false"])
    web_ones: list[Measure] = [DEPTH, missing, rate, command, HANGS]
    measures: dict[str, list[Measure]] = {"web": web_ones, "other": [missing]}
    async with measured(engine, tmp_path / "agent.db") as (node, measuring):
        request = PlanRequest(
            release="r2", workloads=[web("2")], options=DeployOptions(measures=measures)
        )
        plan = await measuring.warned(await node.workloads.plan_apply(request), measures)
        before = plan.workloads[0].warnings
        await node.apply(web("1"))
        plan = await measuring.warned(await node.workloads.plan_apply(request), measures)
        after = plan.workloads[0].warnings
    assert not any(text.startswith("metric ") for text in before)
    told = [text for text in after if text.startswith("metric ")]
    assert told[0] == (
        "metric missing cannot be read of what runs now: its page has no queue_length"
    )
    assert told[1].startswith("metric hangs cannot be read of what runs now: GET :8000/hang: ")
    assert len(told) == 2


async def test_the_candidate_is_measured_until_it_is_confirmed(
    engine: DockerEngine, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "confirm": "manual",
        "measures": {"web": [DEPTH, HANGS]},
        "replays": {"web": REPLAY},
    }
    async with measured(engine, tmp_path / "agent.db") as (node, measuring):
        await node.apply(web("1"))
        stable = node.inspect("web")["Id"]
        deployment = await begin(node, **options)
        found = await answered(measuring, deployment)
        assert found.stable.container == stable
        assert found.stable.restarts is None
        assert "makes way for the candidate" in found.stable.unknown["measures.depth"]
        candidate = found.candidate
        assert candidate.container == node.deployment().workloads[0].new
        assert candidate.measures["depth"].last == 3.0
        assert candidate.measures["hangs"].count == 0
        assert candidate.unknown["requests"] == NO_PROXY
        assert candidate.gpus == []
        assert candidate.restarts == 0
        # What is to be sent is on the node alone.
        shown = await node.workloads.deployment(deployment)
        assert shown.options.replays == {}
        assert list(shown.options.measures) == ["web"]
        window = found.window

    # Another agent goes on with it, in another window.
    async with measured(engine, tmp_path / "agent.db") as (node, measuring):
        again = await answered(measuring, deployment)
        assert again.window != window
        assert again.candidate.container == candidate.container
        await node.workloads.deployments.renew(deployment)
        await node.workloads.deployments.confirm(deployment)
        await node.reaches("done")
        assert await measuring.arms(deployment) == Arms(
            deployment=deployment, unknown="it is done: its arms are measured until then"
        )


async def test_both_arms_of_a_weighted_one_have_figures_of_their_own(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """Until it has weight, the candidate has those that the node itself sends it."""
    shared: dict[str, Any] = {
        "ports": [Port(target=endpoint.PORT, published=8080)],
        "probes": [HttpProbe(port=endpoint.PORT, path="/metrics")],
        "strategy": "weighted",
    }
    async with measured(engine, tmp_path / "agent.db") as (node, measuring):
        first = await node.apply(web("1", **shared))
        assert first.state == "succeeded", first.problem
        bad = web("2", **shared, environment={"BAD": "1"})
        options = DeployOptions(
            confirm="manual",
            steered_by="r.1",
            measures={"web": [DEPTH]},
            replays={"web": REPLAY},
        )
        request = ApplyRequest(release="r2", workloads=[bad], options=options)
        await node.workloads.apply(request, owner="maria", key=None)
        deployment = (await node.reaches("canary", "reverted", "stuck")).id

        async def when(weight: int, holds: Callable[[Arm, Arm], bool]) -> WorkloadArms:
            while True:
                for found in (await measuring.arms(deployment)).workloads:
                    if found.weight == weight and holds(found.stable, found.candidate):
                        return found
                await asyncio.sleep(0.05)

        def replayed(*arms: Arm) -> bool:
            return all(arm.replayed is not None and arm.replayed.requests >= 20 for arm in arms)

        def read(*arms: Arm) -> bool:
            return all("depth" in arm.measures and arm.measures["depth"].count for arm in arms)

        idle = await when(0, lambda one, other: replayed(one, other) and read(one, other))
        assert idle.stable.replayed is not None
        assert idle.candidate.replayed is not None
        assert idle.stable.replayed.errors == 0
        assert idle.candidate.replayed.errors > 0
        assert idle.candidate.requests is not None
        assert idle.candidate.requests.requests == 0

        async with loaded(engine, 50) as load:
            busy = await when(0, lambda one, _: bool(one.requests and one.requests.requests >= 20))
            assert busy.candidate.requests is not None
            assert busy.candidate.requests.requests == 0
            await node.workloads.deployments.renew(deployment, weight=50)
            half = await when(
                50,
                lambda one, other: all(
                    arm.requests is not None and arm.requests.requests >= 20 for arm in (one, other)
                ),
            )
            assert (await load.end()).failed == []
        assert half.window != idle.window
        assert half.stable.container != half.candidate.container
        await node.undo("web")


async def test_nobody_measures_what_confirms_itself_or_goes_back(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with measured(engine, tmp_path / "agent.db") as (node, measuring):
        await node.apply(web("1"))
        deployment = await begin(node, confirm="manual", replays={"web": REPLAY})
        while not (await measuring.arms(deployment)).workloads:  # noqa: ASYNC110 - as good
            await asyncio.sleep(0.02)
        await node.undo("web")
        after = await measuring.arms(deployment)
        assert (after.workloads, after.unknown) == (
            [],
            "it is reverted: its arms are measured until then",
        )
        one = web("3")
        one.soak = 600.0
        request = ApplyRequest(release="r3", workloads=[one])
        await node.workloads.apply(request, owner="maria", key=None)
        deployment = (await node.reaches("canary")).id
        alone = await measuring.arms(deployment)
        assert alone.workloads == []
        assert alone.unknown is not None
        assert "it confirms itself" in alone.unknown
        await node.undo("web")
