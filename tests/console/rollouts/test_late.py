"""Every state of a node has an end: what takes too long, and what is not heard of."""

from __future__ import annotations

import msgspec
import pytest

from console.rollouts.judging.analysis import Analysis
from console.rollouts.jumps import JumpWatch
from console.rollouts.strategy import Amount, Deadlines, Strategy
from tests.console.rollouts.fleet_double import FleetDouble

CALM = Strategy(
    soak=10,
    min_healthy=0,
    max_unavailable=Amount(count=4),
    confirm_within=100,
    analysis=Analysis(conditions=()),
    deadline=Deadlines(prepare=300, apply=200, judge=300, confirm=150, revert=120),
)


def test_who_is_not_confirmed_in_time_goes_back() -> None:
    fleet = FleetDouble([1], CALM)
    answer = fleet.answer
    fleet.answer = lambda want: (  # type: ignore[method-assign]
        answer(want._replace(ask="renew")) if want.ask == "confirm" else answer(want)
    )
    fleet.run(100)
    assert fleet.stages() == {"confirming": 1}
    fleet.run(80)
    assert (fleet.rollout.state, fleet.stages()) == ("failed", {"reverted": 1})
    assert "did not confirm within 2m" in fleet.rollout.why


def test_who_never_ends_to_go_back_needs_a_person() -> None:
    fleet = FleetDouble([2], msgspec.structs.replace(CALM, confirm_within=1000))
    fleet.run(8)
    answer = fleet.answer
    fleet.answer = lambda want: (  # type: ignore[method-assign]
        answer(want._replace(ask="look"))
        if want.ask == "revert" and want.node == "n0-0"
        else answer(want)
    )
    fleet.steering.wish("abort", "maria", fleet.now)
    fleet.run(100)
    assert fleet.stages() == {"reverting": 1, "reverted": 1}
    fleet.run(30)
    assert (fleet.rollout.state, fleet.stages()) == ("aborted", {"stuck": 1, "reverted": 1})
    assert "has been going back for 2m" in fleet.rollout.node("n0-0").why


def test_a_runner_that_was_away_asks_before_it_gives_up() -> None:
    """The release runs by now, which nobody has heard; the lease is longer than all deadlines."""
    fleet = FleetDouble([1], msgspec.structs.replace(CALM, confirm_within=3000))
    fleet.nodes["n0-0"].slow = 5
    fleet.run(4)
    assert fleet.stage("n0-0") == "applying"
    fleet.nodes["n0-0"].slow = 0
    fleet.now += 1000
    fleet.kill_runner()
    fleet.run(60)
    assert (fleet.rollout.state, fleet.stages()) == ("done", {"done": 1})


def test_a_runner_that_was_away_does_not_take_the_first_silence_for_offline() -> None:
    fleet = FleetDouble([1], CALM)
    fleet.nodes["n0-0"].lacks = 100
    fleet.run(10)
    fleet.now += 200
    fleet.kill_runner()
    fleet.nodes["n0-0"].away = True
    fleet.run(30)
    assert fleet.stage("n0-0") == "preparing"
    fleet.run(40)
    assert fleet.stage("n0-0") == "offline"


@pytest.mark.parametrize("jump", [-86400.0, 86400.0])
@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("stage", ["preparing", "applying", "canary", "confirming"])
def test_a_clock_that_is_set_makes_nothing_go_wrong(stage: str, jump: float, silent: bool) -> None:
    """Nothing is late, silent or watched for longer; nodes count by clocks that nobody sets."""
    fleet = FleetDouble([1, 1], CALM)
    there = fleet.nodes["n0-0"]
    there.lacks, there.slow = 30, 30
    answer = fleet.answer
    fleet.answer = lambda want: (  # type: ignore[method-assign]
        answer(want._replace(ask="renew")) if want.ask == "confirm" else answer(want)
    )
    while fleet.stage("n0-0") != stage:
        fleet.tick()
    fleet.run(3)
    assert fleet.stage("n0-0") == stage
    fleet.now += jump
    there.renewed_at += jump
    fleet.steering.jumped(jump, fleet.now)
    there.away = silent
    fleet.run(5)  # a cut link meanwhile is none that was down for a day
    assert fleet.stage("n0-0") == stage
    there.away, fleet.answer = False, answer  # type: ignore[method-assign]
    begun = fleet.now
    fleet.run_until("done")
    assert (fleet.now - begun < 200, fleet.stages()) == (True, {"done": 2})


def test_a_machine_that_slept_asks_before_it_gives_anybody_up() -> None:
    fleet = FleetDouble([2, 1], msgspec.structs.replace(CALM, gate="manual"))
    while fleet.rollout.state != "gate":
        fleet.tick()
    fleet.now += 8 * 3600
    fleet.steering.jumped(8 * 3600, fleet.now)
    fleet.nodes["n0-0"].away = True
    fleet.run(3)
    assert fleet.stages() == {"reverting": 1, "reverted": 1, "skipped": 1}
    assert "the clock went ahead by 8h; all waits go on" in [each.what for each in fleet.events]


def test_a_forward_step_does_not_cut_the_soak_short() -> None:
    fleet = FleetDouble([1], msgspec.structs.replace(CALM, soak=100))
    while fleet.rollout.progress.soaks_since is None:
        fleet.tick()
    fleet.now += 3600
    fleet.nodes["n0-0"].renewed_at += 3600
    fleet.steering.jumped(3600, fleet.now)
    fleet.run(90)
    assert fleet.stage("n0-0") == "canary"


def test_what_the_wall_clock_does_beside_a_steady_one() -> None:
    wall, steady = [1000.0], [5.0]
    watch = JumpWatch(lambda: wall[0], lambda: steady[0])
    found = [watch.look()]
    for on_wall, on_steady in ((10.0, 10.0), (0.3, 0.0), (3610.0, 10.0), (-7190.0, 10.0)):
        wall[0] += on_wall
        steady[0] += on_steady
        found.append(watch.look())
    assert [round(jumped) for _, jumped in found] == [0, 0, 0, 3600, -7200]
    assert found[-1][0] == wall[0]
