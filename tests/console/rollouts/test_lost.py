"""Nodes that are not heard of: what is told of them, and what becomes of them when they are."""

from __future__ import annotations

import msgspec
import pytest

from console.rollouts.asks import Want
from console.rollouts.effects import counted
from console.rollouts.judging.analysis import Analysis
from console.rollouts.strategy import Amount, Deadlines, Strategy
from console.rollouts.waiting import waits_for
from console.rollouts.words import unsteered_lines
from tests.console.rollouts.fleet_double import FleetDouble

DAY = 86400.0
CALM = Strategy(
    soak=10,
    min_healthy=0,
    max_unavailable=Amount(count=4),
    confirm_within=100,
    analysis=Analysis(conditions=()),
    deadline=Deadlines(prepare=300, apply=200, judge=300, confirm=150, revert=120),
)


def until_stage(fleet: FleetDouble, name: str, stage: str) -> None:
    while fleet.stage(name) != stage:
        fleet.tick()


def confirmed_unheard(waves: list[int]) -> FleetDouble:
    """The confirm has arrived at n0-0, and its answer does not."""
    fleet = FleetDouble(waves, CALM)
    until_stage(fleet, "n0-0", "canary")
    answer = fleet.answer

    def confirmed(want: Want) -> object:
        fleet.nodes["n0-0"].mute |= want == Want("n0-0", "confirm")
        return answer(want)

    fleet.answer = confirmed  # type: ignore[method-assign, assignment]
    until_stage(fleet, "n0-0", "lost")
    fleet.answer = answer  # type: ignore[method-assign]
    assert fleet.nodes["n0-0"].state == "done"
    return fleet


def test_a_confirm_whose_answer_was_lost_is_no_failure_and_takes_nothing_back() -> None:
    fleet = confirmed_unheard([3, 1])
    lost = fleet.rollout.node("n0-0")
    assert not lost.failed
    assert lost.why.startswith("not heard of for 2m, and it is not known whether it has confirmed")
    fleet.run_until("done")
    assert fleet.stages() == {"lost": 1, "done": 3}
    assert fleet.rollout.why == "1 node outstanding"
    assert fleet.events[-1].what == "1 lost node is asked on, for 7d"
    fleet.run(3600, step=60)
    assert fleet.stage("n0-0") == "lost"
    fleet.kill_runner()
    fleet.nodes["n0-0"].mute = False
    fleet.run(3)
    assert (fleet.stages(), fleet.goes_on()) == ({"done": 4}, False)
    assert lost.name in {event.node for event in fleet.events if event.what == "done"}


def test_who_did_not_confirm_after_all_has_failed() -> None:
    fleet = FleetDouble([2, 1], CALM)
    until_stage(fleet, "n0-0", "canary")
    answer = fleet.answer

    def cut(want: Want) -> object:
        fleet.nodes["n0-0"].away |= want == Want("n0-0", "confirm")
        return answer(want)

    fleet.answer = cut  # type: ignore[method-assign, assignment]
    fleet.run_until("done")
    assert fleet.stages() == {"lost": 1, "done": 2}
    fleet.answer = answer  # type: ignore[method-assign]
    fleet.nodes["n0-0"].away = False
    fleet.run(3)
    assert fleet.stages() == {"reverted": 1, "done": 2}
    assert fleet.rollout.node("n0-0").failed


def test_a_canary_that_is_lost_is_asked_on_and_its_true_end_is_told() -> None:
    fleet = FleetDouble([2, 1], msgspec.structs.replace(CALM, gate="manual"))
    until_stage(fleet, "n0-0", "canary")
    fleet.nodes["n0-0"].away = True
    fleet.run_until("failed")
    assert fleet.stages() == {"lost": 1, "reverted": 1, "skipped": 1}
    assert fleet.goes_on()
    fleet.nodes["n0-0"].away = False
    fleet.run(3)
    assert (fleet.stages(), fleet.goes_on()) == ({"reverted": 2, "skipped": 1}, False)


def test_a_node_that_is_silent_in_an_undo_is_taken_back_when_it_is_heard() -> None:
    fleet = FleetDouble([3], CALM)
    fleet.run_until("done")
    fleet.nodes["n0-1"].away = True
    assert fleet.steering.wish("undo", "maria", fleet.now) is None
    fleet.run_until("undone")
    assert fleet.stages() == {"reverted": 2, "lost": 1}
    assert not fleet.rollout.node("n0-1").failed
    assert "not known whether it runs again" in fleet.rollout.node("n0-1").why
    assert fleet.nodes["n0-1"].state == "done"
    assert waits_for(fleet.rollout, fleet.now) == ["for n0-1 to be heard of, 7d more"]
    assert "1 lost node is taken back once heard of" in counted(fleet.rollout, "undo")
    assert next(unsteered_lines(fleet.rollout, steered=False)) == (
        "nobody steers it: it is not found out what lost nodes run"
    )
    fleet.nodes["n0-1"].away = False
    fleet.run(3)
    assert (fleet.rollout.state, fleet.stages()) == ("undone", {"reverted": 3})
    assert not fleet.goes_on()


def test_after_a_week_nobody_asks_and_another_undo_asks_again() -> None:
    fleet = FleetDouble([2], CALM)
    fleet.run_until("done")
    fleet.nodes["n0-1"].away = True
    fleet.steering.wish("undo", "maria", fleet.now)
    fleet.run_until("undone")
    fleet.run(7 * DAY - 600, step=600)
    assert fleet.goes_on()
    fleet.run(1200, step=600)
    assert not fleet.goes_on()
    assert fleet.steering.wants() == []
    fleet.nodes["n0-1"].away = False
    assert fleet.steering.wish("undo", "maria", fleet.now) is None
    fleet.run(3)
    assert (fleet.rollout.state, fleet.stages()) == ("undone", {"reverted": 2})
    assert fleet.steering.wish("undo", "maria", fleet.now) == "it is undone"


def test_an_abort_takes_a_lost_one_back_too_and_retry_does_not_begin_there() -> None:
    fleet = confirmed_unheard([2, 2])
    assert fleet.rollout.state == "running"
    assert fleet.steering.wish("abort", "maria", fleet.now) is None
    fleet.run_until("aborted")
    assert fleet.steering.wish("retry", "maria", fleet.now) is None
    assert fleet.stage("n0-0") == "lost"
    fleet.nodes["n0-0"].mute = False
    fleet.run(2)
    assert fleet.stage("n0-0") == "reverted"


def test_a_newer_rollout_has_lost_nodes_and_nobody_asks_them_any_more() -> None:
    fleet = confirmed_unheard([2, 1])
    fleet.run_until("done")
    fleet.steering.supersede({"n0-0": "bb"}, fleet.now)
    fleet.tick()
    assert (fleet.stage("n0-0"), fleet.goes_on()) == ("lost", False)


@pytest.mark.parametrize("killed", [False, True])
def test_a_node_that_was_told_is_never_offline(killed: bool) -> None:
    """The order arrived, and neither its answer nor any other does."""
    fleet = FleetDouble([2, 1], CALM)
    until_stage(fleet, "n0-0", "prepared")
    fleet.nodes["n0-0"].mute, fleet.nodes["n0-0"].slow = True, 10_000
    while fleet.nodes["n0-0"].state is None:
        fleet.tick()
    if killed:
        fleet.rollout.node("n0-0").tried = False  # it did not live to hear of it
        fleet.kill_runner()
        fleet.nodes["n0-0"].away, fleet.nodes["n0-0"].mute = True, False  # nor does the next one
    fleet.run(90)
    assert fleet.stage("n0-0") == "applying"
    fleet.nodes["n0-0"].mute = fleet.nodes["n0-0"].away = False
    fleet.nodes["n0-0"].slow = 0
    fleet.run_until("done")
    assert fleet.stages() == {"done": 3}
    assert fleet.nodes["n0-0"].applied == 1


def test_a_node_that_was_told_and_stays_silent_is_taken_back_when_it_is_heard() -> None:
    fleet = FleetDouble([2, 1], msgspec.structs.replace(CALM, deadline=Deadlines()))
    until_stage(fleet, "n0-0", "prepared")
    fleet.nodes["n0-0"].mute, fleet.nodes["n0-0"].slow = True, 10_000
    until_stage(fleet, "n0-0", "lost")
    fleet.run_until("failed")
    fleet.nodes["n0-0"].mute = False
    fleet.run(3)
    assert fleet.nodes["n0-0"].state == "reverted"
    assert fleet.stages() == {"reverted": 2, "skipped": 1}
