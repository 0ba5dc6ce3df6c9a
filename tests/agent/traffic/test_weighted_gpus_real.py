"""Both containers of a weighted workload on their GPUs, and what its proxy saw of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.protocol.gpus import GpuSample
from agent.protocol.workloads import GpuRequest
from tests.agent.traffic.weighted import loaded, serving, steered, weighs
from tests.agent.workloads.workload_side import GPUS, UUIDS, workload_side
from tests.real import gateway_image
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


async def test_on_one_gpu_where_both_fit_else_on_two(engine: DockerEngine, tmp_path: Path) -> None:
    used = {UUIDS[0]: 2**30}

    def samples() -> list[GpuSample]:
        return [
            GpuSample(uuid=gpu.uuid, state="ok", memory_used_bytes=used.get(gpu.uuid, 0))
            for gpu in GPUS
        ]

    async with workload_side(
        engine, tmp_path / "a.db", gateway=gateway_image.IMAGE, samples=samples
    ) as node:
        first, second = GpuRequest(select="0"), GpuRequest(select="1")
        assert (await node.apply(serving("one", gpu=first))).state == "succeeded"
        [fits] = await node.plan(serving("two", gpu=first))
        assert (fits.problems, fits.downtime[:5]) == ([], "none:")
        used[UUIDS[0]] = 20 * 2**30
        [crowded] = await node.plan(serving("two", gpu=first))
        assert [each.code for each in crowded.problems] == ["deploy.strategy"]
        assert "too little free memory for both" in crowded.problems[0].detail
        [apart] = await node.plan(serving("two", gpu=second))
        assert (apart.problems, apart.downtime[:5]) == ([], "none:")
        async with loaded(engine, 100) as load:
            deployment = await steered(node, "two", gpu=second)
            await weighs(node, deployment, 50)
            shares = await node.traffic.targets("web")
            gpus = {
                name: node.inspect(each.container)["HostConfig"]["DeviceRequests"][0]["DeviceIDs"]
                for name, each in shares.items()
            }
            assert gpus == {"stable": [UUIDS[0]], "candidate": [UUIDS[1]]}
            await node.workloads.deployments.confirm(deployment)
            assert (await node.reaches("done", "reverted", "stuck")).state == "done"
            pinned = await node.pin("web", "2")  # and a pin keeps it behind its proxy
            assert pinned.state == "succeeded", pinned.problem
            assert node.deployment().workloads[0].strategy == "weighted"
            told = await load.end()
        assert told.failed == []
        assert node.names()["roost-traffic-web"] == "running"


async def test_the_arms_figures_are_what_was_answered(engine: DockerEngine, tmp_path: Path) -> None:
    """Also where the agent's end of the log was away: HAProxy keeps what it could not send."""
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        assert (await node.apply(serving("one"))).state == "succeeded"
        fails = "rm /www/index.html; httpd -f -p 80 -h /www"  # 404 is no error of the server
        deployment = await steered(node, "two", command=["sh", "-c", f"mkdir /www; {fails}"])
        await weighs(node, deployment, 25)
        proxy = node.traffic._proxies["web"]
        async with loaded(engine, 100) as load:
            await asyncio.sleep(1)
            await proxy._listener.stop()
            await asyncio.sleep(1)
            await proxy._listener.start()
            await asyncio.sleep(1)
            told = await load.end()
        given = told.answers["start"]

        def counted() -> dict[str, tuple[int, int]]:
            window = node.traffic.figures("web")
            assert window is not None
            assert window.weight == 25
            return {name: (each.requests, each.errors) for name, each in window.arms.items()}

        wanted = {"stable": (given["one"], 0), "candidate": (told.asked - given["one"], 0)}
        for _ in range(300):
            if counted() == wanted:
                break
            await asyncio.sleep(0.1)
        assert counted() == wanted
        window = node.traffic.figures("web")
        assert window is not None
        assert (window.lost, window.unknown) == (0, None)
        for name, each in window.arms.items():
            assert sum(each.latency.values()) == each.requests, name
        stable = window.arms["stable"].requests
        assert stable / told.asked == pytest.approx(0.75, abs=0.02)
