"""The client's verbs of engines against a real agent, over a stand-in for a builder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.protocol.engines import (
    BenchRequest,
    BuildRequest,
    EngineRemoveRequest,
    PlanImportRequest,
    UseRequest,
    VerifyRequest,
)
from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from console.link.address import parse_address
from console.link.client import NodeClient
from console.link.unix import UnixLink
from tests import onnx_made
from tests.agent.engines.engine_side import RTX_PLAN, recipe, rtx_stand_in
from tests.agent_process import AgentProcess

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def onnx(short_folder: Path) -> Path:
    path = short_folder / "detector.onnx"
    path.write_bytes(onnx_made.detector(blocks=1))
    return path


@pytest.fixture
async def client(short_folder: Path) -> AsyncIterator[NodeClient]:
    settings = {"engines": {"python": str(rtx_stand_in(short_folder))}}
    agent = AgentProcess(short_folder, settings)
    await asyncio.to_thread(agent.start)
    address = parse_address(f"unix://{agent.sockets['operator']}")
    made = NodeClient("t4", UnixLink("t4", address), owner="maria@pc")
    yield made
    await made.close()
    await asyncio.to_thread(agent.close)


async def ended(client: NodeClient, job: Job) -> Job:
    while job.state not in ENDED:
        await asyncio.sleep(0.05)
        job = await client.job(job.id)
    return job


async def test_an_engines_life(client: NodeClient, onnx: Path) -> None:
    engines = client.engines
    keys = []
    for level in (1, 2):
        request = BuildRequest(recipe=recipe(onnx, optimization_level=level))
        first = await engines.build(request, f"b{level}")
        assert (await engines.build(request, f"b{level}")).id == first.id
        keys.append((await ended(client, first)).result["key"])
    assert [each.current for each in await engines.show("detector")] == [True, False]
    used = await engines.use("detector", UseRequest(key=keys[0][:12]))
    assert (used.manifest.key, used.current) == (keys[0], True)
    log = await engines.log("detector", keys[0][:12], limit_bytes=50)
    assert log.cut_bytes == log.size_bytes - len(log.text) > 0
    with pytest.raises(ProblemError) as caught:
        await engines.remove("detector", EngineRemoveRequest(key=keys[0]))
    assert caught.value.code == "engine.current"
    left = await engines.remove("detector", EngineRemoveRequest(key=keys[0], force=True))
    assert [each.manifest.key for each in left] == [keys[1]]
    job = await ended(client, await engines.verify("detector", VerifyRequest(), "v"))
    assert job.problem is not None
    assert job.problem.code == "engine.no_gpu"
    said = [(each.action, each.subject, each.outcome) for each in await client.audit()]
    assert ("engine.use", "engine/detector", "done") in said
    assert ("engine.remove", "engine/detector", "engine.current") in said


async def test_an_import_and_a_bench(client: NodeClient, onnx: Path) -> None:
    engines, plan = client.engines, onnx.with_name("old.plan")
    await asyncio.to_thread(plan.write_bytes, RTX_PLAN)
    request = PlanImportRequest(model="imported", plan=str(plan))
    assert (await ended(client, await engines.import_plan(request, "i"))).result["current"] == "yes"
    assert [each.model for each in await engines.list()] == ["imported"]
    bench = BenchRequest(recipe=recipe(onnx), batches=[1, 4])
    job = await ended(client, await engines.bench(bench, "m"))
    table = await engines.show_bench(job.id)
    assert [(row.batch, row.p50_ms) for row in table.rows] == [(1, 2.0), (4, 5.0)]
    assert [each.job for each in await engines.benches()] == [job.id]


@pytest.mark.parametrize("verb", ["build", "look", "import", "bench"])
async def test_a_model_that_is_called_as_a_verb(client: NodeClient, onnx: Path, verb: str) -> None:
    with pytest.raises(ProblemError) as caught:
        await client.engines.show(verb)
    assert caught.value.code == "engine.not_found"
    job = await client.engines.build(BuildRequest(recipe=recipe(onnx, model=verb)), "b")
    key = (await ended(client, job)).result["key"]
    (engine,) = await client.engines.show(verb)
    assert (engine.model, engine.manifest.key) == (verb, key)
    assert (await client.engines.log(verb, key)).size_bytes > 0
    assert len([piece async for piece in client.engines.plan(verb, key)]) > 0
    assert (await client.engines.use(verb, UseRequest(key=key))).current
