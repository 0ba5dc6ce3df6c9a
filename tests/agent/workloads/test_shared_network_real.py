"""A workload in the network of another one, and one that restarts with another one."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from agent.protocol.workloads import Workload
from agent.workloads.tending import LOOKS
from tests.agent.workloads.test_apply_real import code_of, workload
from tests.agent.workloads.test_watching_real import Looked, drift
from tests.agent.workloads.workload_side import UUIDS, WorkloadSide, workload_side
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


def app(**more: object) -> Workload:
    return workload(
        "app",
        network_mode="service:vpn",
        restarts_with=["vpn"],
        depends_on={"vpn": "started"},
        restart="always",
        **more,
    )


def network(node: WorkloadSide, name: str) -> str:
    """The network namespace that a container is in."""
    return str(Path(f"/proc/{node.inspect(name)['State']['Pid']}/ns/net").readlink())


def shares(node: WorkloadSide) -> bool:
    """Whether both run, in one network."""
    owner = node.inspect("vpn")["Id"]
    assert node.inspect("app")["HostConfig"]["NetworkMode"] == f"container:{owner}"
    return network(node, "vpn") == network(node, "app")


def ids(node: WorkloadSide) -> list[str]:
    return [node.inspect(name)["Id"] for name in ("vpn", "app")]


async def test_it_follows_whose_network_it_is(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        job = await node.apply(workload("vpn"), app())
        assert job.state == "succeeded", job
        assert shares(node)
        first = ids(node)
        assert [each.action for each in await node.plan(workload("vpn"), app())] == ["keep"] * 2

        other = workload("vpn", environment={"V": "2"})
        plan = {each.name: each for each in await node.plan(other, app())}
        assert (plan["vpn"].action, plan["app"].action) == ("replace", "replace")
        assert plan["vpn"].warnings == []
        assert plan["app"].changes == ["it restarts with vpn"]
        job = await node.apply(other)  # the file need not have it
        assert job.state == "succeeded", job
        assert set(job.result) == {"vpn", "app"}
        assert set(ids(node)).isdisjoint(first)
        assert shares(node)

        assert (await node.undo("vpn")).state == "succeeded"
        assert ids(node) == first
        assert shares(node)

        fails = workload("vpn", command=["sh", "-c", "exit 3"], soak=1.0)
        assert code_of(await node.apply(fails)) in ("deploy.unwell", "deploy.not_started")
        assert ids(node) == first
        assert shares(node)
        assert node.inspect("app")["HostConfig"]["RestartPolicy"]["Name"] == "always"


async def test_a_restart_takes_it_along(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert (await node.apply(workload("vpn"), app())).state == "succeeded"
        before, first = node.inspect("app")["State"]["StartedAt"], ids(node)
        job = await node.ended(await node.workloads.restart("vpn", owner="maria", key=None))
        assert job.state == "succeeded", job
        assert ids(node) == first
        assert node.inspect("app")["State"]["StartedAt"] != before
        assert shares(node)
        assert (await node.pin("vpn", UUIDS[0])).state == "succeeded"
        assert set(ids(node)).isdisjoint(first)
        assert shares(node)


async def test_its_owner_ends_by_itself(engine: DockerEngine, tmp_path: Path) -> None:
    """dockerd restarts the owner alone: the other is in a network that leads nowhere."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert (await node.apply(workload("vpn", restart="always"), app())).state == "succeeded"
        first, looked = ids(node), Looked(node)
        os.kill(node.inspect("vpn")["State"]["Pid"], signal.SIGKILL)
        told = "its network is gone: vpn was started after it"
        while told not in await drift(node, "app"):  # noqa: ASYNC110 - dockerd's
            await asyncio.sleep(0.05)
        assert network(node, "vpn") != network(node, "app")
        found = await looked.findings("workload.drift")
        assert "The agent restarts it: at its next look" in found["workload/app"]
        assert node.jobs.newest()[0].kind == "workload.deploy"  # one look is not enough
        await looked.look()
        [job] = [job for job in node.jobs.newest() if job.owner == "roost"]
        assert (job.kind, job.subject) == ("workload.restart", "app")
        assert (await node.ended(job)).state == "succeeded"
        assert ids(node) == first
        assert shares(node)
        while await drift(node, "app"):  # noqa: ASYNC110 - the agent hears of it soon
            await asyncio.sleep(0.05)
        assert await looked.findings("workload.drift") == {}


async def test_a_reboot(engine: DockerEngine, tmp_path: Path) -> None:
    """dockerd comes up first, and with it both, in one network: nothing is left to do."""
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert (await node.apply(workload("vpn", restart="always"), app())).state == "succeeded"
        first = ids(node)
    await asyncio.to_thread(engine.kill)
    await asyncio.to_thread(engine.start)
    async with workload_side(engine, tmp_path / "agent.db") as node:
        looked = Looked(node)
        while sorted(node.names().values()) != ["running", "running"]:  # noqa: ASYNC110 - dockerd's
            await asyncio.sleep(0.05)
        for _ in range(LOOKS + 1):
            await looked.look()
        assert [job.owner for job in node.jobs.newest()] == ["maria"]
        assert ids(node) == first
        assert shares(node)


async def test_one_that_nobody_runs(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        [planned] = await node.plan(app())
        assert [problem.code for problem in planned.problems] == ["workload.no_network"]
        other = workload("app", network_mode="container:other")
        [planned] = await node.plan(other)
        assert [problem.code for problem in planned.problems] == ["workload.no_network"]
        node.run("other")
        assert (await node.apply(other)).state == "succeeded"
        assert network(node, "app") == network(node, "other")
