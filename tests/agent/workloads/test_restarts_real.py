"""Agents that end in every state of a deployment, and what the next one makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agent.protocol.deployments import ApplyRequest, DeployOptions
from agent.protocol.jobs import Job
from agent.protocol.workloads import Healthcheck, Mount, Workload
from agent.workloads.attempt import Attempt
from tests.agent.workloads.workload_side import SERVES, UUIDS, WorkloadSide, workload_side
from tests.real.busybox import IMAGE
from tests.real.docker_engine import DockerEngine

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

ON_FIRST = ("--gpus", f"device={UUIDS[0]}")
FORWARD = ["preparing", "prepared", "starting", "probing", "canary", "confirming"]


@asynccontextmanager
async def stopping_in(
    state: str, engine: DockerEngine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[WorkloadSide, asyncio.Event]]:
    """A node on which whatever has just entered `state` gets no further.

    For what is on disk that is a `kill -9`: nothing else is written, and nothing is put in order.
    """
    reached = asyncio.Event()
    enter = Attempt.enter

    async def entered(self: Attempt, wanted: str, deadline_seconds: float) -> None:
        await enter(self, wanted, deadline_seconds)  # type: ignore[arg-type]
        if wanted == state:
            reached.set()
            await asyncio.Event().wait()

    with monkeypatch.context() as patched:
        patched.setattr(Attempt, "enter", entered)
        async with workload_side(engine, folder / "agent.db") as node:
            yield node, reached


async def at_rest(node: WorkloadSide) -> str:
    """The state of the newest deployment once it is at rest."""
    return (await node.reaches("done", "reverted", "stuck")).state


@pytest.mark.parametrize("strategy", ["stop-then-start", "start-then-stop"])
@pytest.mark.parametrize("state", FORWARD)
async def test_the_next_agent_goes_on(
    engine: DockerEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    state: str,
    strategy: str,
) -> None:
    async with stopping_in(state, engine, tmp_path, monkeypatch) as (node, reached):
        first = node.run("detector", "--restart=always", *ON_FIRST)
        await node.begin_pin("detector", "1", strategy=strategy)
        await reached.wait()
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert await at_rest(node) == "done"
        after = node.inspect("detector")
        assert after["Id"] != first
        assert after["State"]["Running"]
        assert after["HostConfig"]["RestartPolicy"]["Name"] == "always"
        assert sorted(node.names().values()) == ["exited", "running"]  # exactly one runs


@pytest.mark.parametrize("state", ["starting", "probing", "canary", "reverting"])
async def test_the_next_agent_goes_back(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """The new container is removed by somebody while no agent runs: the old one comes back."""
    async with stopping_in(state, engine, tmp_path, monkeypatch) as (node, reached):
        first = node.run("detector", "--restart=always", *ON_FIRST)
        (engine.folder / "hook-fails").touch()
        if state != "reverting":
            (engine.folder / "hook-fails").unlink()
        await node.begin_pin("detector", "1", strategy="stop-then-start")
        await reached.wait()
    (engine.folder / "hook-fails").unlink(missing_ok=True)
    new = engine.docker("ps", "--all", "--quiet", "--filter", "label=roost.deployment")
    if new and state not in ("starting", "reverting"):
        engine.docker("rm", "--force", new)
    async with workload_side(engine, tmp_path / "agent.db") as node:
        expected = "done" if state == "starting" else "reverted"
        assert await at_rest(node) == expected
        found = node.inspect("detector")
        assert found["State"]["Running"]
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "always"
        if expected == "reverted":
            assert node.names() == {"detector": "running"}
            assert found["Id"] == first


@pytest.mark.parametrize("state", FORWARD)
async def test_the_power_is_cut(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """Agent and dockerd end at once, and dockerd comes up first: what it starts is only right."""
    async with stopping_in(state, engine, tmp_path, monkeypatch) as (node, reached):
        node.run("detector", "--restart=always", *ON_FIRST)
        await node.begin_pin("detector", "1", strategy="stop-then-start")
        await reached.wait()
    await asyncio.to_thread(engine.kill)
    await asyncio.to_thread(engine.start)
    running = [name for name, found in states(engine).items() if found == "running"]
    assert len(running) <= 1
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert await at_rest(node) == "done"
        assert sorted(node.names().values()) == ["exited", "running"]
        assert node.inspect("detector")["HostConfig"]["RestartPolicy"]["Name"] == "always"


async def test_the_power_is_cut_on_the_way_back(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stopping_in("reverting", engine, tmp_path, monkeypatch) as (node, reached):
        first = node.run("detector", "--restart=always", *ON_FIRST)
        (engine.folder / "hook-fails").touch()
        await node.begin_pin("detector", "1", strategy="stop-then-start")
        await reached.wait()
    (engine.folder / "hook-fails").unlink()
    await asyncio.to_thread(engine.kill)
    await asyncio.to_thread(engine.start)
    running = [name for name, found in states(engine).items() if found == "running"]
    assert len(running) <= 1
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert await at_rest(node) == "reverted"
        assert node.names() == {"detector": "running"}
        assert node.inspect("detector")["Id"] == first
        assert node.inspect("detector")["HostConfig"]["RestartPolicy"]["Name"] == "always"


@pytest.mark.parametrize("dockerd_too", [False, True])
async def test_killed_before_there_is_a_job(
    engine: DockerEngine, tmp_path: Path, *, dockerd_too: bool
) -> None:
    """It is planned, and nobody is at work on it: what runs is left as it is."""
    reached = asyncio.Event()

    async def never(*_: object, **__: object) -> Job:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--restart=always", *ON_FIRST)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(node.jobs, "submit", never)
            begins = asyncio.create_task(node.begin_pin("detector", "1"))
            await reached.wait()
            assert node.deployment().state == "planned"
            begins.cancel()
            await asyncio.wait([begins])
    if dockerd_too:
        await asyncio.to_thread(engine.kill)
        await asyncio.to_thread(engine.start)
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert await at_rest(node) == "reverted"
        assert node.names() == {"detector": "running"}
        assert node.inspect("detector")["Id"] == first
        assert node.inspect("detector")["HostConfig"]["RestartPolicy"]["Name"] == "always"


def states(engine: DockerEngine) -> dict[str, str]:
    said = engine.docker("ps", "--all", "--format", "{{.Names}} {{.State}}")
    return dict(line.split(" ", 1) for line in said.splitlines())


def twice(there: Path, version: str) -> list[Workload]:
    """Two of which each is healthy once a file is there; the second waits for the first."""
    check = Healthcheck(test=["CMD", "test", "-e", "/there/well"], interval=0.5, retries=100)
    one = Workload(
        name="api",
        image=IMAGE,
        command=SERVES,
        soak=0.0,
        restart="always",
        environment={"V": version},
        healthcheck=check,
        mounts=[Mount(kind="bind", source=str(there), target="/there")],
    )
    return [one, msgspec.structs.replace(one, name="web", depends_on={"api": "healthy"})]


@pytest.mark.parametrize("state", ["starting", "probing", "canary"])
async def test_dockerd_restarts_in_the_middle(
    engine: DockerEngine, tmp_path: Path, state: str
) -> None:
    """What it starts by itself is only right, and the deployment goes on."""
    there = engine.folder / f"there-{state}"
    there.mkdir()
    (there / "well").touch()
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert (await node.apply(*twice(there, "1"))).state == "succeeded"
        second = twice(there, "2")
        if state != "canary":
            (there / "well").unlink()
        if state == "probing":
            second = [msgspec.structs.replace(each, depends_on={}) for each in second]
        options = DeployOptions(confirm="manual" if state == "canary" else "auto")
        request = ApplyRequest(release="r2", workloads=second, options=options)
        job = await node.workloads.apply(request, owner="maria", key=None)
        shown = await node.reaches(state)
        if state == "starting":  # the first one runs, and is not well yet
            while (new := node.deployment().workloads[0].new) is None:  # noqa: ASYNC110 - as good
                await asyncio.sleep(0.01)
            await until_runs(engine, new)
        await asyncio.to_thread(engine.stop)
        await asyncio.to_thread(engine.start)
        assert len(running(engine)) <= 2
        (there / "well").touch()
        if state == "canary":
            await node.workloads.deployments.confirm(shown.id)
        ended = await node.ended(job)
        assert ended.state == "succeeded", ended.problem
        assert running(engine) == ["api", "web"]
        for name in ("api", "web"):
            found = node.inspect(name)
            assert "V=2" in found["Config"]["Env"]
            assert found["HostConfig"]["RestartPolicy"]["Name"] == "always"


def running(engine: DockerEngine) -> list[str]:
    return sorted(name for name, state in states(engine).items() if state == "running")


async def until_runs(engine: DockerEngine, container: str) -> None:
    shown = ("inspect", "--type=container", "--format={{.State.Status}}", container)
    while await asyncio.to_thread(engine.docker, *shown) != "running":  # noqa: ASYNC110 - dockerd's
        await asyncio.sleep(0.05)


async def test_the_lease_goes_on_in_the_next_agent(engine: DockerEngine, tmp_path: Path) -> None:
    async with workload_side(engine, tmp_path / "agent.db") as node:
        first = node.run("detector", "--restart=always", *ON_FIRST)
        options = DeployOptions(confirm="manual", confirm_within=8)
        await node.begin_pin("detector", "1", options=options)
        await node.reaches("canary")
    async with workload_side(engine, tmp_path / "agent.db") as node:
        assert await at_rest(node) == "reverted"
        assert node.names() == {"detector": "running"}
        assert node.inspect("detector")["Id"] == first
