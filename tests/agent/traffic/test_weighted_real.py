"""Deployments of weighted workloads: real containers, a real HAProxy, real requests."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agent.protocol.deployments import ApplyRequest, DeployOptions
from tests.agent.traffic.weighted import loaded, serving
from tests.agent.workloads.workload_side import WorkloadSide, workload_side
from tests.real import gateway_image
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


async def steered(node: WorkloadSide, version: str, **more: Any) -> str:
    """Begin a deployment that somebody steers; its id once it is watched."""
    request = ApplyRequest(
        release=version,
        workloads=[serving(version, **more)],
        options=DeployOptions(confirm="manual", steered_by="r1"),
    )
    await node.workloads.apply(request, owner="maria", key=None)
    return (await node.reaches("canary", "done", "reverted", "stuck")).id


async def weighs(node: WorkloadSide, deployment: str, weight: int) -> None:
    """Tell a weight, and wait until it holds."""
    while True:
        shown = await node.workloads.deployments.renew(deployment, weight=weight)
        if shown.weight == weight:
            return
        await asyncio.sleep(0.05)


async def test_weights_go_up_and_no_request_fails(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        first = await node.apply(serving("one"))
        assert first.state == "succeeded", first.problem
        async with loaded(engine, 200) as load:
            deployment = await steered(node, "two")
            await weighs(node, deployment, 0)
            for weight in (10, 50, 100):
                await weighs(node, deployment, weight)
                await load.mark(str(weight))
                await asyncio.sleep(2.5)
            await node.workloads.deployments.confirm(deployment)
            shown = await node.reaches("done", "reverted", "stuck")
            await load.mark("after")
            await asyncio.sleep(1)
            told = await load.end()
        assert told.failed == []
        assert shown.state == "done"
        assert shown.weight == 100
        assert set(told.answers["start"]) == {"one"}
        assert told.share("10", "two") == pytest.approx(10, abs=2)
        assert told.share("50", "two") == pytest.approx(50, abs=2)
        assert told.share("100", "two") == pytest.approx(100, abs=2)
        assert set(told.answers["after"]) == {"two"}
        assert sum(sum(each.values()) for each in told.answers.values()) == told.asked
        assert (await node.traffic.wrong("web")) == []
