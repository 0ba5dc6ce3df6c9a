"""A runner while nodes are away, clocks are wrong, and its journal cannot be used."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time

import pytest

from agent.protocol.deployments import ApplyRequest, Deployment
from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.rollouts import late, runner
from console.rollouts.asks import Seen, Want
from console.rollouts.journal_file import FILE
from console.rollouts.node_work import ask_node
from console.rollouts.preparing import Preparer
from console.rollouts.record import Rollout, RolloutNode
from console.rollouts.runner import Runner
from console.rollouts.steering import Steering
from console.rollouts.strategy import Amount, Strategy
from tests.console.rollouts.fleet_double import until
from tests.console.rollouts.test_runner import QUICK, QUICKLY, Side, side

__all__ = ["side"]  # the fixture

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def away(side: Side, monkeypatch: pytest.MonkeyPatch) -> str:
    """A node of the last wave, which is soon taken for offline where it does not answer."""
    monkeypatch.setattr(late, "REACH_SECONDS", 0.2)
    return list(side.entries)[-1]


async def test_a_node_that_was_offline_gets_it_when_it_returns(side: Side, away: str) -> None:
    await side.fleet.misbehave(away, "offline")
    rollout = await side.planned(QUICK)
    async with side.runner(rollout) as running:
        await until(lambda: side.state(rollout) == "done")
        assert side.stages(rollout) == {"done": 4, "offline": 1}
        assert not running.done()
        await side.fleet.misbehave(away, "clear")
        ended = await running
    assert (ended.state, side.stages(rollout)) == ("done", {"done": 5})
    assert await side.deployments() == ["done"] * 5


async def test_a_newer_rollout_supersedes_what_is_outstanding(side: Side, away: str) -> None:
    await side.fleet.misbehave(away, "offline")
    first = await side.planned(QUICK)
    async with side.runner(first) as running:
        await until(lambda: side.state(first) == "done")
        second = await side.planned(QUICK)
        assert (await running).state == "done"
    assert side.stages(first) == {"done": 4, "skipped": 1}
    assert side.journal.load(first.id).node(away).why == f"rollout {second.id} has it now"


async def test_attached_it_ends_with_nodes_outstanding(side: Side, away: str) -> None:
    await side.fleet.misbehave(away, "offline")
    rollout = await side.planned(QUICK)
    async with side.runner(rollout, stands=False) as running:
        ended = await running
    assert (ended.state, ended.wants_runner) == ("done", True)


async def test_a_node_that_left_fleet_yaml_is_offline_and_says_why(side: Side, away: str) -> None:
    rollout = await side.planned(QUICK)
    del side.entries[away]
    async with side.runner(rollout, stands=False) as running:
        await running
    assert side.stages(rollout) == {"done": 4, "offline": 1}
    assert side.journal.load(rollout.id).node(away).why == "fleet.yaml has it no more"


async def test_another_machine_under_a_node_s_name_is_not_asked(side: Side, away: str) -> None:
    """Another fleet.yaml, say: the plan says where the node was."""
    rollout = await side.planned(QUICK)
    planned, other = side.entries[away], next(iter(side.entries.values()))
    side.entries[away] = NodeEntry(name=away, address=other.address)
    async with side.runner(rollout, stands=False) as running:
        await running
    assert side.stages(rollout) == {"done": 4, "offline": 1}
    assert side.journal.load(rollout.id).node(away).why == (
        f"fleet.yaml has it at {other.address}, and it was planned at {planned.address}"
    )


async def test_nodes_that_hang_do_not_keep_others_waiting(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is asked at a time here; the dead one does not answer, and then hangs for ever."""
    dead, asked = next(iter(side.entries)), list[Want]()

    async def ask(
        client: NodeClient,
        rollout: Rollout,
        node: RolloutNode,
        want: Want,
        request: ApplyRequest,
        preparer: Preparer,
    ) -> Seen:
        if node.name != dead:
            return await ask_node(client, rollout, node, want, request, preparer)
        asked.append(want)
        if len(asked) > 1:
            await asyncio.Event().wait()
        return Seen(node=dead, what="unreached", why="no route")

    monkeypatch.setattr(runner, "ask_node", ask)
    monkeypatch.setattr(runner, "AT_ONCE", 1)
    at_once = Strategy(waves=(), soak=1000, min_healthy=0, max_unavailable=Amount(count=5))
    rollout = await side.planned(at_once)
    async with side.runner(rollout):
        await until(lambda: len(asked) == 2)
        await until(lambda: side.stages(rollout) == {"preparing": 1, "canary": 4})


async def test_a_node_that_joins_is_left_out(side: Side) -> None:
    """The list was frozen when it was planned."""
    joined = dict([side.entries.popitem()])
    rollout = await side.planned(QUICK)
    side.entries |= joined
    async with side.runner(rollout) as running:
        await running
    assert side.stages(rollout) == {"done": 4}
    assert sorted(await side.deployments()) == ["", "done", "done", "done", "done"]


async def test_a_journal_that_is_locked_for_a_while_is_waited_for(side: Side) -> None:
    rollout = await side.planned(QUICK)
    locker = sqlite3.connect(side.journal.folder / FILE, check_same_thread=False)
    with contextlib.closing(locker):
        locker.isolation_level = None
        async with side.runner(rollout) as running:
            await until(lambda: "canary" in side.stages(rollout))
            await asyncio.to_thread(locker.execute, "BEGIN IMMEDIATE")
            before = await asyncio.to_thread(side.journal.load, rollout.id)
            await asyncio.sleep(1)
            assert not running.done()
            assert await asyncio.to_thread(side.journal.load, rollout.id) == before
            await asyncio.to_thread(locker.execute, "ROLLBACK")
            assert (await running).state == "done"


async def test_a_journal_that_breaks_ends_the_runner_with_a_problem(side: Side) -> None:
    rollout = await side.planned(QUICK)
    async with side.runner(rollout) as running:
        await until(lambda: "canary" in side.stages(rollout))
        for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
            path = side.journal.folder / name
            if path.exists():
                # Another file: who has the old one mapped at this moment must not be cut off.
                broken = path.with_name("broken")
                broken.write_bytes(b"no database at all" * 1000)
                broken.replace(path)
        with pytest.raises(ProblemError) as raised:
            await running
    assert raised.value.code == "rollout.journal_broken"


async def test_nodes_whose_clocks_are_wrong_by_a_day(side: Side) -> None:
    """What nodes say of time is not looked at."""
    made, off = side.make, dict.fromkeys(side.entries, 86400.0)
    off[next(iter(off))] *= -1

    def skewed(entry: NodeEntry) -> NodeClient:
        client = made(entry)
        shown = client.workloads.deployment

        async def deployment(name: str) -> Deployment:
            found = await shown(name)
            found.created_at += off[entry.name]
            for change in found.history:
                change.at += off[entry.name]
            return found

        client.workloads.deployment = deployment  # type: ignore[method-assign, assignment]
        return client

    side.make = skewed
    rollout = await side.planned(QUICK)
    async with side.runner(rollout) as running:
        assert (await running).state == "done"
    assert side.stages(rollout) == {"done": 5}


async def test_an_answer_that_breaks_the_runners_code_is_that_nodes_trouble(side: Side) -> None:
    """It raises what is no problem: amid the asking, and again when it is heard."""
    made, broken = side.make, next(iter(side.entries))

    def breaking(entry: NodeEntry) -> NodeClient:
        client = made(entry)
        if entry.name == broken:
            shown, left = client.workloads.deployment, [2]

            async def deployment(name: str) -> Deployment:
                if left[0]:
                    left[0] -= 1
                    raise OverflowError("math range error")
                return await shown(name)

            client.workloads.deployment = deployment  # type: ignore[method-assign, assignment]
        return client

    side.make = breaking
    rollout = await side.planned(QUICK)
    async with side.runner(rollout) as running:
        assert (await running).state == "done"
    assert side.stages(rollout) == {"done": 5}
    told = [event for _, event in side.journal.events(rollout.id) if event.what == "trouble"]
    assert [(event.node, event.why) for event in told] == [
        (broken, "what it answers cannot be used: OverflowError: math range error")
    ]


async def test_an_answer_that_cannot_be_judged_ends_no_runner(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear, broken = Steering.hear, next(iter(side.entries))
    left = [3]

    def breaking(steering: Steering, seen: Seen, now: float) -> None:
        if seen.node == broken and seen.what != "unreached" and left[0]:
            left[0] -= 1
            raise OverflowError("math range error")
        hear(steering, seen, now)

    monkeypatch.setattr(Steering, "hear", breaking)
    rollout = await side.planned(QUICK)
    async with side.runner(rollout) as running:
        assert (await running).state == "done"
    assert (side.stages(rollout), left) == ({"done": 5}, [0])


async def test_a_clock_that_is_set_amid_a_rollout(side: Side) -> None:
    """A day ahead, and two back: no node is late, and none was silent for a day."""
    rollout = await side.planned(QUICK)
    set_by = [0.0]
    runner = Runner(
        side.journal,
        rollout.id,
        entries=side.entries,
        client=side.make,
        pace=QUICKLY,
        wall=lambda: time.time() + set_by[0],
    )
    running = asyncio.create_task(runner.run())
    for wave, by in enumerate((86400.0, -86400.0)):
        await until(
            lambda wave=wave: (  # type: ignore[misc]
                side.journal.load(rollout.id).wave == wave and "canary" in side.stages(rollout)
            )
        )
        set_by[0] = by
    assert (await running).state == "done"
    assert side.stages(rollout) == {"done": 5}
    said = [event.what for _, event in side.journal.events(rollout.id)]
    assert [what.rpartition(" by ")[0] for what in said if what.startswith("the clock")] == [
        "the clock went ahead",
        "the clock went back",
    ]
