"""Proxies, containers, agents and dockerd that end in the middle of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.protocol.findings import DoctorReport
from agent.protocol.problems import ProblemError
from agent.traffic.config import FILE
from tests.agent.traffic.weighted import loaded, serving, steered, weighs
from tests.agent.workloads.workload_side import WorkloadSide, workload_side
from tests.real import gateway_image
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

PROXY = "roost-traffic-web"
_SLEEPS = (IMAGE, "sleep", "1000")


async def running(node: WorkloadSide) -> dict[str, tuple[str, int]]:
    """Address and weight of what the running HAProxy gives requests to."""
    servers = await node.traffic._proxies["web"]._admin.servers()
    return {name: (one.address, one.weight) for (_, name), one in servers.items() if not one.off}


async def until(so: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again."""
    while True:
        if await so():
            return
        await asyncio.sleep(0.1)


async def as_written(node: WorkloadSide) -> dict[str, tuple[str, int]]:
    """The same, once the proxy is as it is written."""

    async def so() -> bool:
        return not await node.traffic.wrong("web")

    await until(so)
    return await running(node)


def process(node: WorkloadSide) -> int:
    return int(node.inspect(PROXY)["State"]["Pid"])


async def started_again(node: WorkloadSide, before: int) -> None:
    """The runtime has started the proxy again."""

    async def so() -> bool:
        return process(node) not in (0, before)

    await until(so)


async def test_a_proxy_that_is_killed_comes_back_as_it_was(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        assert (await node.apply(serving("one"))).state == "succeeded"
        deployment = await steered(node, "two")
        await weighs(node, deployment, 30)
        before, pid = await running(node), process(node)
        assert sorted(weight for _, weight in before.values()) == [30, 70]
        window = node.traffic.figures("web")
        os.kill(pid, signal.SIGKILL)
        await started_again(node, pid)
        assert await as_written(node) == before
        now = node.traffic.figures("web")
        assert window is not None
        while now is None or now.id == window.id:
            await asyncio.sleep(0.1)
            now = node.traffic.figures("web")
        assert (now.weight, window.weight) == (30, 30)
        await weighs(node, deployment, 60)  # and it can be told things
        assert {name: weight for name, (_, weight) in (await running(node)).items()} == {
            "stable": 40,
            "candidate": 60,
        }


async def test_an_agent_that_starts_anew_finds_what_holds(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """It goes on with what its deployment says, also where HAProxy was killed meanwhile."""
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        assert (await node.apply(serving("one"))).state == "succeeded"
        deployment = await steered(node, "two")
        await weighs(node, deployment, 20)
        before, pid = await running(node), process(node)
    os.kill(pid, signal.SIGKILL)
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        await node.reaches("canary")
        await started_again(node, pid)
        assert await as_written(node) == before
        shown = await node.workloads.deployments.renew(deployment)
        assert shown.weight == 20
        async with loaded(engine, 100) as load:
            await node.workloads.deployments.confirm(deployment)
            assert (await node.reaches("done", "reverted", "stuck")).state == "done"
            assert (await load.end()).failed == []


async def test_a_configuration_that_is_lost_while_no_agent_is_there_is_written_again(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """HAProxy goes on without it, and is not started anew for it."""
    database = tmp_path / "agent.db"
    async with workload_side(engine, database, gateway=gateway_image.IMAGE) as node:
        assert (await node.apply(serving("one"))).state == "succeeded"
        was, before = await as_written(node), process(node)
    file = engine.folder / "traffic" / "web" / FILE
    whole = file.read_bytes()
    async with loaded(engine, 100) as load:
        for lost in (file.unlink, lambda: file.write_bytes(whole[: len(whole) // 20])):
            lost()
            async with workload_side(engine, database, gateway=gateway_image.IMAGE) as node:
                [shown] = await node.workloads.list()
                assert len(shown.proxy_wrong) == 1
                await node.workloads.watcher.tend(DoctorReport(node="a10", at=0.0, checks=[]))
                assert await as_written(node) == was
                [shown] = await node.workloads.list()
                assert shown.proxy_wrong == []
            assert file.read_bytes() == whole
        assert process(node) == before
        assert (await load.end()).failed == []


async def test_addresses_are_followed(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        assert (await node.apply(serving("one"))).state == "succeeded"
        [(before, _)] = (await running(node)).values()
        engine.docker("stop", "web")

        async def gets_some() -> bool:
            return bool(await running(node))

        async def gets_none() -> bool:
            return not await running(node)

        await until(gets_none)  # what is for a container that does not run
        engine.docker("run", "--detach", "--name=between", *_SLEEPS)  # takes the address
        assert node.inspect("between")["NetworkSettings"]["IPAddress"] == before
        engine.docker("start", "web")
        await until(gets_some)
        [(after, weight)] = (await as_written(node)).values()
        assert (after, weight) == (node.inspect("web")["NetworkSettings"]["IPAddress"], 100)
        assert after != before
        said = engine.enter("busybox", "wget", "-qO-", "http://127.0.0.1:8080").stdout
        assert said == "one\n"


async def test_what_somebody_changes_is_told_and_put_back(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        assert (await node.apply(serving("one"))).state == "succeeded"
        file = engine.folder / "traffic" / "web" / FILE
        file.write_text(file.read_text().replace("maxconn", "nbproc"))
        assert "was changed by hand" in (await node.traffic.wrong("web"))[0]
        await node.traffic._proxies["web"]._admin.ask("set server b-all-8080/stable weight 7")
        assert "at weight 7 instead of" in (await node.traffic.wrong("web"))[1]

        async def put_back() -> bool:
            return len(await node.traffic.wrong("web")) == 1

        await until(put_back)  # by itself
        file.unlink()
        status = await node.workloads.show("web")
        assert (status.proxy, "is gone" in status.proxy_wrong[0]) == (f"container {PROXY}", True)
        assert (await node.apply(serving("two"), release="r2")).state == "succeeded"
        assert await node.traffic.wrong("web") == []


async def test_dockerd_that_starts_anew_keeps_the_weights(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        assert (await node.apply(serving("one", restart="always"))).state == "succeeded"
        deployment = await steered(node, "two")
        await weighs(node, deployment, 30)
        await asyncio.to_thread(engine.restart)
        while True:
            try:
                now = await as_written(node)
            except ProblemError:
                now = {}
            if {name: weight for name, (_, weight) in now.items()} == {
                "stable": 70,
                "candidate": 30,
            }:
                break
            await asyncio.sleep(0.2)
        assert now["stable"][0] == node.inspect("web")["NetworkSettings"]["IPAddress"]
        await node.workloads.deployments.confirm(deployment)
        assert (await node.reaches("done", "reverted", "stuck")).state == "done"


async def test_a_proxy_that_hears_nothing_more_is_told_by_starting_it_anew(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """Its requests go on until something must change."""
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        assert (await node.apply(serving("one"))).state == "succeeded"
        pid = process(node)
        (engine.folder / "traffic" / "web" / "ctl").unlink()
        assert "does not answer" in (await node.traffic.wrong("web"))[0]
        while True:
            window = node.traffic.figures("web")
            if window is not None and window.unknown is not None:
                break
            await asyncio.sleep(0.1)
        said = engine.enter("busybox", "wget", "-qO-", "http://127.0.0.1:8080").stdout
        assert (said, process(node)) == ("one\n", pid)
        assert (await node.apply(serving("two"))).state == "succeeded"
        assert process(node) != pid
        said = engine.enter("busybox", "wget", "-qO-", "http://127.0.0.1:8080").stdout
        assert said == "two\n"
        assert await node.traffic.wrong("web") == []


async def test_a_candidate_that_listens_no_more_while_it_lives_goes_back(
    engine: DockerEngine, tmp_path: Path
) -> None:
    """Nothing else tells: its process runs, it has no probe, and HAProxy gives it nothing more."""
    deaf = (
        "mkdir -p /www; echo two >/www/index.html; trap 'exit 0' TERM;"
        " httpd -f -p 80 -h /www & h=$!; until [ -e /deaf ]; do sleep 0.1; done; kill $h;"
        " while true; do sleep 0.1; done"
    )
    async with workload_side(engine, tmp_path / "a.db", gateway=gateway_image.IMAGE) as node:
        assert (await node.apply(serving("one"))).state == "succeeded"
        async with loaded(engine, 50) as load:
            deployment = await steered(node, "two", command=["sh", "-c", deaf])
            await weighs(node, deployment, 100)
            await load.mark("100")
            new = node.deployment().workloads[0].new
            assert new is not None
            engine.docker("exec", new, "touch", "/deaf")

            async def errors_are_its_own() -> bool:
                window = node.traffic.figures("web")
                assert window is not None
                arms = window.arms
                return window.weight == 100 and arms["candidate"].errors > 5

            await until(errors_are_its_own)
            shown = await node.reaches("reverted", "done", "stuck")
            await load.mark("back")
            await asyncio.sleep(0.5)
            told = await load.end()
        assert shown.state == "reverted"
        assert shown.problem is not None
        assert shown.problem.code == "deploy.unwell"
        assert "nobody answers at" in shown.problem.detail
        assert set(told.answers["back"]) == {"one"}
        assert told.failed
        assert node.names() == {PROXY: "running", "web": "running"}
