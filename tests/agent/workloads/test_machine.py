"""The deployment machine over a node in memory: what it shows, and what it puts up with."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from agent.containers.in_memory import InMemoryRuntime
from agent.protocol.containers import ContainerChange, ContainerDetails
from agent.protocol.findings import DoctorReport
from agent.traffic.simulated import SimulatedTraffic
from agent.traffic.state import SlotName, Target
from agent.workloads import candidates, machine
from tests.agent.workloads.memory_side import MemorySide, memory_side, serving

NOTHING_FOUND = DoctorReport(node="m", at=0.0, checks=[])


class SeenTraffic(SimulatedTraffic):
    """Remembers which weight the node showed while a proxy was told another one."""

    def __init__(self) -> None:
        super().__init__()
        self.side: MemorySide | None = None
        self.told: list[tuple[int, int | None]] = []  # told, and what was shown then

    async def put(self, workload: str, targets: Mapping[SlotName, Target]) -> None:
        candidate = targets.get("candidate")
        if self.side is not None and candidate is not None:
            self.told.append((candidate.weight, self.side.record.shown.weight))
        await super().put(workload, targets)


async def test_a_weight_is_shown_once_it_holds() -> None:
    traffic = SeenTraffic()
    async with memory_side(traffic=traffic) as side:
        traffic.side = side
        deployment = await side.steered("v1")
        await side.workloads.deployments.confirm(deployment)
        assert (await side.reaches("done", "reverted", "stuck")).weight == 100
    # At first none; then nothing for the new one, which is shown as such; then all of it.
    told = [each for each in traffic.told if each[0] != each[1]]
    assert told[0] == (0, None)
    assert told[-1] == (100, 0)


class SeenRuntime(InMemoryRuntime):
    """Counts how often each container was looked at."""

    def __init__(self, *of: object, **more: object) -> None:
        super().__init__(*of, **more)  # type: ignore[arg-type]
        self.looks: Counter[str] = Counter()

    async def details(self, name: str) -> ContainerDetails:
        self.looks[name] += 1
        return await super().details(name)

    def become(self, container_id: str, **changed: object) -> None:
        """What somebody does to it, or it by itself."""
        self.put(msgspec.structs.replace(self.containers()[container_id], **changed))

    def vanish(self) -> None:
        """It is away, and is back before anybody has called it."""
        self.set_away("it was killed")
        self.set_away(None)

    async def looked_at(self, container_id: str, times: int) -> None:
        """Until it was looked at so often from now on."""
        until = self.looks[container_id] + times
        while self.looks[container_id] < until:  # noqa: ASYNC110 - as good
            await asyncio.sleep(0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks without a pause."""
    monkeypatch.setattr(machine, "LOOK_SECONDS", 0)
    monkeypatch.setattr(candidates, "LOOK_SECONDS", 0)


async def canary(side: MemorySide, **more: Any) -> str:
    """The candidate of a deployment that is watched."""
    await side.steered("v1", **more)
    new = side.record.parts[0].new
    assert new is not None
    return new


@pytest.mark.usefixtures("quick")
async def test_one_that_ended_with_the_runtime_is_started_once_more() -> None:
    """Nobody saw the runtime away: whoever calls it meanwhile waits until it is back."""
    async with memory_side(runtime=SeenRuntime) as side:
        new = await canary(side)
        for _ in range(2):
            side.runtime.vanish()
            side.runtime.become(new, state="exited", exit_code=0)
            await side.runtime.looked_at(new, 5)
            assert side.runtime.containers()[new].state == "running"
        assert side.record.shown.state == "canary"
        side.runtime.become(new, state="exited", exit_code=0)  # by itself
        assert (await side.reaches("reverted", "stuck")).state == "reverted"


@pytest.mark.usefixtures("quick")
async def test_one_that_comes_up_again_with_the_runtime_has_time_for_it() -> None:
    async with memory_side(runtime=SeenRuntime) as side:
        new = await canary(side)
        side.runtime.vanish()
        side.runtime.become(new, health="starting")
        await side.runtime.looked_at(new, 5 * machine.MISSES)
        side.runtime.become(new, health="healthy")
        await side.workloads.deployments.confirm(side.record.shown.id)
        assert (await side.reaches("done", "reverted", "stuck")).state == "done"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("lost", [False, True])
async def test_one_that_is_not_well_any_more_goes_back(lost: bool) -> None:
    """Also after the runtime was away, once it had the time that it has to start."""
    async with memory_side(runtime=SeenRuntime) as side:
        new = await canary(side, start_deadline=0.01)
        if lost:
            side.runtime.vanish()
        side.runtime.become(new, health="starting")
        ended = await side.reaches("done", "reverted", "stuck")
        assert (ended.state, ended.problem and ended.problem.code) == ("reverted", "deploy.unwell")


@pytest.mark.usefixtures("quick")
async def test_one_that_is_well_in_between_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only misses in a row count, however many there are."""
    monkeypatch.setattr(machine, "MISSES", 50)
    async with memory_side(runtime=SeenRuntime) as side:
        new = await canary(side, start_deadline=0.01)
        for health in ("starting", "healthy") * 10:
            side.runtime.become(new, health=health)
            until = side.runtime.looks[new] + 20
            while side.runtime.looks[new] < until:
                assert side.record.shown.state == "canary"
                await asyncio.sleep(0)


class NamedRuntime(InMemoryRuntime):
    """Knows what each container was called when it was started."""

    def __init__(self, *of: object, **more: object) -> None:
        super().__init__(*of, **more)  # type: ignore[arg-type]
        self.started: list[str] = []

    async def act(self, name: str, action: Any, *of: Any, **more: Any) -> ContainerChange:
        if action == "start":
            self.started.append(self.containers()[name].name)
        return await super().act(name, action, *of, **more)


async def test_the_first_of_a_workload_has_its_name_from_its_start_on() -> None:
    """Others find it by that while they start."""
    async with memory_side(runtime=NamedRuntime) as side:
        first = serving("v1", strategy="start-then-stop", ports=[])
        await side.apply(msgspec.structs.replace(first, name="other"))
        assert (await side.reaches("done", "reverted", "stuck")).state == "done"
        assert side.runtime.started == ["web", "other"]


async def test_of_what_ran_before_one_container_is_kept() -> None:
    async with memory_side() as side:
        for version in ("v1", "v2"):
            await side.apply(serving(version))
            assert (await side.reaches("done", "reverted", "stuck")).state == "done"
        web = side.workloads._store.workload("web")
        assert web is not None
        assert set(side.runtime.containers()) == {web.stable, web.kept}

        # Nor does it go where the container stays, or that is taken back.
        await side.apply(serving("v2", soak=0.01))
        shown = await side.reaches("done", "reverted", "stuck")
        assert (shown.state, side.record.parts[0].stays) == ("done", True)
        stayed = side.workloads._store.workload("web")
        assert stayed is not None
        assert (stayed.stable, stayed.kept) == (web.stable, web.kept)
        await side.workloads.deployments.revert(shown.id, by="maria", why="")
        assert (await side.reaches("reverted", "stuck")).state == "reverted"
        back = side.workloads._store.workload("web")
        assert back is not None
        assert (back.stable, back.kept) == (web.stable, web.kept)
        assert set(side.runtime.containers()) == {web.stable, web.kept}


async def test_a_proxy_that_was_lost_while_no_agent_was_there_is_made_again() -> None:
    async with memory_side() as side:
        before = await side.traffic.targets("web")
        assert before["stable"].weight == 100
        await side.traffic.put("web", {})
        [shown] = await side.workloads.list()
        assert shown.proxy_wrong == [
            "its configuration is gone, or is not Roost's; it is made again soon"
        ]
        await side.killed()
        await side.workloads.watcher.tend(NOTHING_FOUND)
        assert await side.traffic.targets("web") == before

        await side.workloads.remove("web", owner="maria", key=None)
        while await side.workloads.list():  # noqa: ASYNC110 - as good
            await asyncio.sleep(0)
        await side.workloads.watcher.tend(NOTHING_FOUND)
        assert await side.traffic.targets("web") == {}


@pytest.mark.usefixtures("quick")
async def test_so_is_one_amid_a_deployment() -> None:
    async with memory_side() as side:
        deployment = await side.steered("v1")
        await side.workloads.deployments.renew(deployment, weight=30)
        while side.record.shown.weight != 30:  # noqa: ASYNC110 - as good
            await asyncio.sleep(0)
        before = await side.traffic.targets("web")
        assert (before["stable"].weight, before["candidate"].weight) == (70, 30)
        await side.stop()
        await side.traffic.put("web", {})
        await side.killed()
        while not await side.traffic.targets("web"):  # noqa: ASYNC110 - as good
            await asyncio.sleep(0)
        await side.workloads.watcher.tend(NOTHING_FOUND)
        assert await side.traffic.targets("web") == before
        assert side.record.shown.state == "canary"
