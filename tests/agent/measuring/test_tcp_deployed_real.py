"""A weighted TCP workload on a real Docker Engine, while clients hold connections to it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.measuring.measuring import Measuring
from agent.protocol.arms import Arm
from agent.protocol.deployments import ApplyRequest, DeployOptions
from agent.protocol.workloads import Mode, Mount, Port, Workload
from tests.agent.measuring import echoing, holding
from tests.agent.measuring.test_deployed_real import measured
from tests.agent.traffic.weighted import weighs
from tests.agent.workloads.workload_side import WorkloadSide
from tests.real.docker_engine import DockerEngine
from tests.real.python_image import WITHOUT_TENSORRT

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

PUBLISHED = 8080


def echo(release: str, mode: Mode = "tcp") -> Workload:
    """One that ends at once when it is stopped, whoever is connected."""
    return Workload(
        name="echo",
        image=WITHOUT_TENSORRT,
        command=["python3", "/echoing.py"],
        mounts=[Mount(kind="bind", source=echoing.__file__, target="/echoing.py", read_only=True)],
        environment={"RELEASE": release},
        ports=[Port(target=echoing.PORT, published=PUBLISHED, mode=mode)],
        stop_signal="SIGKILL",
        strategy="weighted",
        soak=0.0,
    )


class Clients:
    """`holding.py` in the network of the engine."""

    def __init__(self, engine: DockerEngine) -> None:
        words = [*engine.enclosure.entering(), sys.executable, holding.__file__, str(PUBLISHED)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    async def say(self, word: str) -> Any:
        """Its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return json.loads(await asyncio.to_thread(self.process.stdout.readline))


@asynccontextmanager
async def clients(engine: DockerEngine) -> AsyncIterator[Clients]:
    made = Clients(engine)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


async def shared(node: WorkloadSide, release: str) -> str:
    """Begin a deployment that somebody steers; its id once it is watched."""
    options = DeployOptions(confirm="manual", steered_by="r.1")
    request = ApplyRequest(release=release, workloads=[echo(release)], options=options)
    await node.workloads.apply(request, owner="maria", key=None)
    return (await node.reaches("canary", "reverted", "stuck")).id


async def told_of(measuring: Measuring, deployment: str, weight: int) -> list[Arm]:
    """Both arms, once their connections at that weight are known."""
    while True:
        [found] = (await measuring.arms(deployment)).workloads
        arms = [found.stable, found.candidate]
        if found.weight == weight and all(each.connections is not None for each in arms):
            return arms
        await asyncio.sleep(0.1)


async def test_no_connection_breaks_until_the_old_container_has_none(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with measured(engine, tmp_path / "agent.db") as (node, measuring):
        assert (await node.apply(echo("one"))).state == "succeeded"
        async with clients(engine) as there:
            assert await there.say("keep") == "one"
            deployment = await shared(node, "two")
            for weight in (10, 50, 100):
                await weighs(node, deployment, weight)
                await asyncio.sleep(0.5)
            for arm in await told_of(measuring, deployment, 100):
                assert arm.requests is None
                assert arm.unknown["requests"].startswith(f"port {PUBLISHED} is TCP")
                assert arm.connections is not None
                assert arm.connections.failed == 0
            await node.workloads.deployments.confirm(deployment)
            assert (await node.reaches("confirming", "done")).state == "confirming"
            await asyncio.sleep(1)
            # One connection goes on there, so the old container does.
            assert node.deployment().state == "confirming"
            assert node.names()["echo"] == "running"
            assert (await node.traffic.targets("echo"))["stable"].weight == 0
            await there.say("free")
            assert (await node.reaches("done", "reverted", "stuck")).state == "done"
            told = await there.say("end")
    assert told["broken"] == []
    assert told["made"]["one"] > 0
    assert told["made"]["two"] > 0


async def test_another_mode_is_another_proxy_and_the_plan_says_so(
    engine: DockerEngine, tmp_path: Path
) -> None:
    async with measured(engine, tmp_path / "agent.db") as (node, _):
        assert (await node.apply(echo("one", "http"))).state == "succeeded"
        [plan] = await node.plan(echo("one"))
        assert plan.action == "replace"
        assert plan.changes == [f"x-roost.mode of port {PUBLISHED}: http becomes tcp"]
        assert plan.downtime.startswith("while its proxy starts anew, in another mode")
        assert (await node.apply(echo("one"))).state == "succeeded"
        assert await node.traffic.wrong("echo") == []
        async with clients(engine) as there:
            assert await there.say("keep") == "one"
        assert (await node.undo("echo")).state == "succeeded"
        [front] = {each.front for each in (await node.traffic.targets("echo")).values()}
        assert front.modes == {}
        assert await node.traffic.wrong("echo") == []
