"""Every state of a node has an end: what takes too long, and what is not heard of."""

from __future__ import annotations

import msgspec

from console.rollouts.judging.analysis import Analysis
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


def test_a_clock_that_is_set_makes_nothing_go_wrong() -> None:
    for jump in (-86400.0, 86400.0):
        fleet = FleetDouble([1, 1], CALM)
        fleet.run(5)
        fleet.now += jump
        if jump > 0:  # the node's lease counts on a clock that nobody sets
            fleet.nodes["n0-0"].renewed_at += jump
        fleet.run(86400 + 300, step=30)
        assert (fleet.rollout.state, fleet.stages()) == ("done", {"done": 2})
