"""A runner and simulated nodes: over the wire, with a journal, cut off and gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

import pytest

from agent.protocol.deployments import ApplyRequest
from agent.protocol.workloads import Workload
from agent.simulation.fleet import SimulatedFleet
from agent.simulation.plan import plan_fleet
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.link.client import NodeClient
from console.rollouts.asks import Ask
from console.rollouts.journal import Journal
from console.rollouts.planning import plan_rollout
from console.rollouts.record import Rollout, Wish
from console.rollouts.runner import Pace, Runner
from console.rollouts.strategy import Amount, Strategy, Wave
from tests.console.rollouts.fleet_double import until

pytestmark = pytest.mark.timeout(60)

IMAGE = "edge/gateway:1.9.0"  # all simulated nodes have it
QUICK = Strategy(
    waves=(Wave(nodes=1), Wave(nodes=2)), soak=0.5, min_healthy=0, max_unavailable=Amount(count=2)
)
QUICKLY = Pace(
    again=dict.fromkeys(get_args(Ask), 0.05), tick=0.05, standing=0.05, lost=0.05, journal=0.05
)


class Side:
    """Five simulated nodes, and a journal."""

    def __init__(self, fleet: SimulatedFleet, folder: Path) -> None:
        self.fleet, self.journal = fleet, Journal(folder, busy_seconds=0.05)
        self.entries = {
            node.name: NodeEntry(name=node.name, address=node.address)
            for node in fleet.listing().nodes
        }
        self.links = Links({}, owner="maria", timeout=10)
        self.make: Callable[[NodeEntry], NodeClient] = self.links.client

    async def planned(self, strategy: Strategy, image: str = IMAGE) -> Rollout:
        """A rollout that was started."""
        request = ApplyRequest(
            release="app@1", workloads=[Workload(name="web", image=image, soak=0.1)]
        )
        rollout = plan_rollout(
            list(self.entries.values()),
            {},
            strategy,
            release="app",
            version="1" * 12,
            file="app.yaml",
            owner="maria",
        )
        requests = dict.fromkeys(self.entries, request)
        await asyncio.to_thread(self.journal.plan, rollout, requests)
        return await asyncio.to_thread(lambda: self.journal.begin(rollout.id, by="maria"))

    @asynccontextmanager
    async def runner(
        self, rollout: Rollout, *, stands: bool = True
    ) -> AsyncIterator[asyncio.Task[Rollout]]:
        """One that steers it; it is gone when the block ends, as after kill -9."""
        made = Runner(
            self.journal,
            rollout.id,
            entries=self.entries,
            client=self.make,
            stands=stands,
            pace=QUICKLY,
        )
        task = asyncio.create_task(made.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def stages(self, rollout: Rollout) -> dict[str, int]:
        return {str(stage): n for stage, n in self.journal.load(rollout.id).counts().items()}

    def state(self, rollout: Rollout) -> str:
        return self.journal.load(rollout.id).state

    async def deployments(self) -> list[str]:
        """The state of each node's deployment of the workload, and "" where there is none."""
        found: list[str] = []
        for entry in self.entries.values():
            client = self.links.client(entry)
            there = [each for each in await client.workloads.list() if each.name == "web"]
            found += [each.deployment_state or "" for each in there] or [""]
            await client.close()
        return found


@pytest.fixture
async def side(short_folder: Path, tmp_path: Path) -> AsyncIterator[Side]:
    plans = plan_fleet(5, faults=False)
    async with SimulatedFleet(plans, short_folder, change=0.0, wired=True) as fleet:
        yield Side(fleet, tmp_path / "state")


async def test_all_waves(side: Side) -> None:
    rollout = await side.planned(QUICK)
    async with side.runner(rollout) as running:
        ended = await running
    assert (ended.state, side.stages(rollout)) == ("done", {"done": 5})
    assert await side.deployments() == ["done"] * 5


async def test_a_runner_that_was_killed_is_gone_on_with_and_nothing_is_done_twice(
    side: Side,
) -> None:
    rollout = await side.planned(QUICK)
    points: list[Callable[[dict[str, int]], bool]] = [
        lambda stages: "applying" in stages,
        lambda stages: "canary" in stages,
        lambda stages: "done" in stages,
        lambda stages: stages.get("canary", 0) == 2,
    ]
    for point in points:
        async with side.runner(rollout):
            await until(lambda point=point: point(side.stages(rollout)))  # type: ignore[misc]
    async with side.runner(rollout) as running:
        assert (await running).state == "done"
    for entry in side.entries.values():
        client = side.links.client(entry)
        deploys = [job for job in await client.jobs() if job.kind == "workload.deploy"]
        assert len(deploys) == 1
        await client.close()


async def test_abort_takes_back_what_is_not_confirmed(side: Side) -> None:
    rollout = await side.planned(Strategy(waves=(Wave(nodes=3),), soak=1000, min_healthy=0))
    async with side.runner(rollout) as running:
        await until(lambda: side.stages(rollout).get("canary", 0) == 3)
        await asyncio.to_thread(side.journal.wish, rollout.id, "abort", by="jo")
        ended = await running
    assert (ended.state, side.stages(rollout)) == ("aborted", {"reverted": 3, "skipped": 2})
    assert await side.deployments() == [""] * 5  # as before: nothing
    said = [(event.by, event.what) for _, event in side.journal.events(rollout.id)]
    assert ("jo", "reverting") in said


async def test_undo_of_one_that_has_ended(side: Side) -> None:
    rollout = await side.planned(QUICK)
    async with side.runner(rollout) as running:
        await running
    await asyncio.to_thread(side.journal.wish, rollout.id, "undo", by="jo")
    async with side.runner(rollout) as running:
        assert (await running).state == "undone"
    assert await side.deployments() == [""] * 5  # as before: nothing


async def test_who_refuses_is_told_with_the_reason(side: Side) -> None:
    rollout = await side.planned(
        Strategy(
            waves=(),
            soak=0.1,
            min_healthy=0,
            failures=Amount(count=5),
            max_unavailable=Amount(count=5),
        ),
        image="nobody/has:it",
    )
    async with side.runner(rollout) as running:
        ended = await running
    assert (ended.state, side.stages(rollout)) == ("done", {"cannot": 5})
    assert "nobody/has:it" in ended.nodes[0].why


async def test_pause_and_promote_go_through_the_journal(side: Side) -> None:
    rollout = await side.planned(
        Strategy(
            waves=(Wave(nodes=1),),
            soak=0.1,
            min_healthy=0,
            gate="manual",
            max_unavailable=Amount(count=4),
        )
    )
    async with side.runner(rollout) as running:
        await until(lambda: side.state(rollout) == "gate")
        steps: list[tuple[Wish, str]] = [
            ("pause", "paused"),
            ("resume", "gate"),
            ("promote", "gate"),
        ]
        for wish, state in steps:
            await asyncio.to_thread(side.journal.wish, rollout.id, wish, by="jo")
            await until(lambda: not side.journal.wishes(rollout.id))
            await until(lambda state=state: side.state(rollout) == state)  # type: ignore[misc]
        assert side.stages(rollout) == {"done": 1, "canary": 4}
        await asyncio.to_thread(side.journal.wish, rollout.id, "promote", by="jo")
        assert (await running).state == "done"
