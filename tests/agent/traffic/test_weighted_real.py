"""Deployments of weighted workloads: real containers, a real HAProxy, real requests."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.protocol.workloads import Port
from tests.agent.traffic.weighted import loaded, serving, steered, weighs
from tests.agent.workloads.workload_side import workload_side
from tests.real import gateway_image
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine

_SLEEPS = (IMAGE, "sleep", "1000")
pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


async def test_weights_go_up_and_no_request_fails(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        first = await node.apply(serving("one"))
        assert first.state == "succeeded", first.problem
        async with loaded(engine, 200) as load:
            deployment = await steered(node, "two")
            await weighs(node, deployment, 0)
            await load.mark("0")
            await asyncio.sleep(1)
            for weight in (10, 50, 100):
                await load.mark("on the way")  # it holds a little before that is told
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
        assert sum(told.answers["0"].values()) > 20
        assert set(told.answers["0"]) == {"one"}, "it runs, and gets nothing"
        assert told.share("10", "two") == pytest.approx(10, abs=2)
        assert told.share("50", "two") == pytest.approx(50, abs=2)
        assert told.share("100", "two") == pytest.approx(100, abs=2)
        assert set(told.answers["after"]) == {"two"}
        assert sum(sum(each.values()) for each in told.answers.values()) == told.asked
        assert (await node.traffic.wrong("web")) == []


async def test_a_revert_gives_all_back_first_and_no_request_fails(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        assert (await node.apply(serving("one"))).state == "succeeded"
        async with loaded(engine, 100) as load:
            await weighs(node, await steered(node, "two"), 50)
            assert (await node.undo("web")).state == "succeeded"  # in the middle
            assert node.deployment().state == "reverted"
            assert node.deployment().weight == 0
            await load.mark("back")
            assert (await node.apply(serving("three"))).state == "succeeded"
            await load.mark("done")
            await asyncio.sleep(0.5)
            assert (await node.undo("web")).state == "succeeded"  # when it is done
            await load.mark("undone")
            await asyncio.sleep(0.5)
            told = await load.end()
        assert told.failed == []
        assert set(told.answers["start"]) == {"one", "two"}
        assert "two" not in told.answers["back"]
        assert set(told.answers["undone"]) == {"one"}
        assert node.names() == {"roost-traffic-web": "running", "web": "running"}
        assert set(await node.traffic.targets("web")) == {"stable"}
        assert (await node.traffic.wrong("web")) == []


async def test_moving_behind_a_proxy_and_back_is_planned(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        assert (await node.apply(serving("one", strategy=None))).state == "succeeded"
        [fights] = await node.plan(serving("two", strategy="start-then-stop"))
        assert [each.code for each in fights.problems] == ["deploy.strategy"]
        [moving] = await node.plan(serving("two"))
        assert moving.downtime.startswith("once, planned: from the stop of the old container")
        assert (await node.apply(serving("two"))).state == "succeeded"
        assert node.inspect("web")["HostConfig"]["PortBindings"] in (None, {})
        [next_time] = await node.plan(serving("three", strategy=None))
        assert (next_time.strategy, next_time.downtime[:5]) == ("weighted", "none:")
        [overlap] = await node.plan(serving("three", strategy="start-then-stop"))
        assert (overlap.problems, overlap.downtime[:5]) == ([], "none:")  # on one fixed port
        [alike] = await node.plan(serving("two"))
        assert alike.action == "keep"
        [back] = await node.plan(serving("three", strategy="stop-then-start"))
        assert back.downtime.startswith("once, planned: from the end of its proxy")
        assert (await node.apply(serving("three", strategy="stop-then-start"))).state == "succeeded"
        assert node.names() == {**node.names(), "web": "running"}
        assert "roost-traffic-web" not in node.names()
        assert engine.enter("busybox", "wget", "-qO-", "http://127.0.0.1:8080").stdout == "three\n"
        assert (await node.undo("web")).state == "succeeded"  # behind its proxy again
        assert engine.enter("busybox", "wget", "-qO-", "http://127.0.0.1:8080").stdout == "two\n"
        job = await node.ended(await node.workloads.remove("web", owner="maria", key=None))
        assert job.state == "succeeded"
        assert node.names() == {}
        assert not list((engine.folder / "traffic").iterdir())


async def test_what_cannot_be_is_told_before_anything_is_touched(
    engine: DockerEngine, tmp_path: Path
) -> None:
    engine.docker("run", "--detach", "--name=other", "--publish=8080:80", *_SLEEPS)
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        [taken] = (await node.plan(serving("one")))[0].problems
        assert (taken.code, "other publishes it" in taken.detail) == ("traffic.port_taken", True)
        for more, why in (
            ({"network_mode": "host"}, "it is in the host's network"),
            ({"ports": []}, "it publishes no port"),
            ({"ports": [Port(target=80)]}, "the runtime chooses"),
            ({"ports": [Port(target=53, published=53, protocol="udp")]}, "is not TCP"),
        ):
            [problem] = (await node.plan(serving("one", **more)))[0].problems
            assert problem.code == "deploy.strategy"
            assert why in problem.detail
    async with workload_side(engine, tmp_path / "b.db") as node:
        [absent] = (await node.plan(serving("one")))[0].problems
        assert (absent.code, "no/gateway:1" in (absent.hint or "")) == ("traffic.no_proxy", True)
    assert node.names() == {"other": "running"}


async def test_a_container_that_the_proxy_does_not_reach_gets_nothing(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        assert (await node.apply(serving("one"))).state == "succeeded"
        elsewhere = [Port(target=81, published=8080)]  # where it does not listen
        async with loaded(engine, 50) as load:
            failed = await node.apply(serving("two", ports=elsewhere, start_deadline=3.0))
            told = await load.end()
        assert failed.problem is not None
        assert failed.problem.code == "deploy.unwell"
        assert ":81" in failed.problem.detail
        assert (told.failed, set(told.answers["start"])) == ([], {"one"})
        assert node.deployment().state == "reverted"
        assert set(await node.traffic.targets("web")) == {"stable"}
