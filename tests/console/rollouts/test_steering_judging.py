"""Judging in the loop: each node by itself, from its first second to its confirmation."""

from __future__ import annotations

import msgspec

from agent.protocol.arms import Arms
from console.rollouts.asks import Seen
from console.rollouts.strategy import Amount, Deadlines, Strategy
from tests.console.rollouts.fleet_double import JUDGED, FleetDouble

CALM = Strategy(
    soak=60,
    min_healthy=0,
    max_unavailable=Amount(count=4),
    confirm_within=900,
    analysis=JUDGED,
    deadline=Deadlines(judge=1000),
)


def changed(**changes: object) -> Strategy:
    return msgspec.structs.replace(CALM, **changes)


def judged(fleet: FleetDouble) -> dict[str, str | None]:
    return {node.name: node.judged for node in fleet.rollout.nodes}


def test_what_is_well_goes_on_by_itself() -> None:
    fleet = FleetDouble([1, 2], CALM)
    fleet.run_until("done")
    assert judged(fleet) == {"n0-0": "pass", "n1-0": "pass", "n1-1": "pass"}
    looks = [event for event in fleet.events if event.what == "judged: pass"]
    assert len(looks) == 3  # told when it changes, and not at each look
    assert fleet.nodes["n0-0"].read > 50


def test_who_fails_goes_back_at_once_and_its_healthy_neighbour_with_the_wave_alone() -> None:
    fleet = FleetDouble([1, 3, 2], changed(failures=Amount(count=1)))
    fleet.nodes["n1-0"].measured = "bad"
    while fleet.stage("n1-0") != "reverted":
        fleet.tick()
    assert fleet.stage("n1-1") == fleet.stage("n1-2") == "canary"  # one bad node is tolerated
    fleet.run_until("done")
    assert fleet.stages() == {"done": 5, "reverted": 1}
    node = fleet.rollout.node("n1-0")
    assert (node.judged, node.failed) == ("fail", True)
    assert "restarts" in node.judged_why


def test_a_failure_that_is_not_tolerated_brings_its_wave_back() -> None:
    fleet = FleetDouble([1, 2, 2], CALM)
    fleet.nodes["n1-0"].measured = "bad"
    fleet.run_until("failed")
    assert fleet.stages() == {"done": 1, "reverted": 2, "skipped": 2}
    assert "n1-0" in fleet.rollout.why
    assert "restarts" in fleet.rollout.why


def test_a_node_is_judged_before_its_neighbours_run_it() -> None:
    fleet = FleetDouble([2], CALM)
    fleet.nodes["n0-0"].measured = "bad"
    fleet.nodes["n0-1"].slow = 1000
    fleet.run(20)
    assert fleet.rollout.state == "failed"


def test_too_little_traffic_waits_and_then_a_person_is_asked() -> None:
    fleet = FleetDouble([2], CALM)
    fleet.nodes["n0-1"].measured = "few"
    fleet.run(500)
    assert (fleet.rollout.state, fleet.stages()) == ("running", {"canary": 2})
    assert judged(fleet) == {"n0-0": "pass", "n0-1": "wait"}
    fleet.run_until("paused")  # the analysis' patience, 10 minutes, is over
    assert "n0-1 could not be judged" in fleet.rollout.why
    assert fleet.stages() == {"canary": 2}  # nobody healthy goes back
    fleet.run(3600, step=5)
    assert (fleet.rollout.state, fleet.stages()) == ("paused", {"canary": 2})
    assert fleet.steering.wish("promote", "maria", fleet.now) is None
    fleet.run_until("done")
    assert fleet.stages() == {"done": 2}


def test_the_deadline_pauses_where_the_analysis_waits_for_ever() -> None:
    patient = msgspec.structs.replace(JUDGED, no_data="wait")
    fleet = FleetDouble([1], changed(analysis=patient))
    fleet.nodes["n0-0"].measured = "few"
    fleet.run(900)
    assert fleet.rollout.state == "running"
    fleet.run_until("paused")
    assert fleet.rollout.since - (fleet.rollout.progress.soaks_since or 0) >= 1060


def test_traffic_that_comes_late_is_enough() -> None:
    fleet = FleetDouble([1], CALM)
    fleet.nodes["n0-0"].measured = "few"
    fleet.run(300)
    fleet.nodes["n0-0"].measured = "well"
    fleet.run_until("done")


def test_what_cannot_be_measured_pauses_once_it_has_soaked() -> None:
    fleet = FleetDouble([1], CALM)
    fleet.nodes["n0-0"].measured = "blind"
    fleet.run(50)
    assert fleet.rollout.state == "running"
    fleet.run_until("paused")
    assert judged(fleet) == {"n0-0": "inconclusive"}
    soaked = fleet.rollout.since - (fleet.rollout.progress.soaks_since or 0)
    assert 60 <= soaked < 70


def test_resume_gives_it_another_while_and_then_asks_again() -> None:
    fleet = FleetDouble([1], CALM)
    fleet.nodes["n0-0"].measured = "blind"
    fleet.run_until("paused")
    assert fleet.steering.wish("resume", "maria", fleet.now) is None
    fleet.run(900)
    assert fleet.rollout.state == "running"
    fleet.run_until("paused")


def test_a_measurement_that_broke_pauses_and_its_node_stays() -> None:
    fleet = FleetDouble([1], CALM)
    fleet.nodes["n0-0"].measured = "broken"
    fleet.run_until("paused")
    assert judged(fleet) == {"n0-0": "error"}
    assert "accuracy" in fleet.rollout.why
    assert fleet.stages() == {"canary": 1}


def test_evaluation_goes_on_while_a_gate_and_while_a_pause_waits() -> None:
    for wish in (None, "pause"):
        fleet = FleetDouble([1, 1], changed(gate="manual"))
        fleet.run_until("gate")
        if wish == "pause":
            fleet.steering.wish("pause", "maria", fleet.now)
        fleet.run(100)
        fleet.nodes["n0-0"].measured = "bad"
        fleet.run(10)
        assert (fleet.rollout.state, fleet.stages()) == ("failed", {"reverted": 1, "skipped": 1})


def test_where_no_container_is_another_one_there_is_nothing_to_judge() -> None:
    fleet = FleetDouble([1], CALM)
    fleet.nodes["n0-0"].measured = "nothing"
    fleet.run_until("done")
    assert fleet.rollout.since - fleet.events[0].at < 80


def test_a_node_that_cannot_tell_what_it_measured_pauses() -> None:
    """As an agent does that is too old for it."""
    fleet = FleetDouble([1], CALM)
    answer = fleet.answer
    silent = Arms(deployment="d1", unknown="there is no such address")
    fleet.answer = lambda want: (  # type: ignore[method-assign]
        Seen(node=want.node, what="arms", arms=silent) if want.ask == "arms" else answer(want)
    )
    fleet.run_until("paused")
    assert "there is no such address" in fleet.rollout.why
    assert fleet.stages() == {"canary": 1}


def test_each_weight_is_judged_anew() -> None:
    fleet = FleetDouble([1], CALM)
    node = fleet.nodes["n0-0"]
    node.weighted = True
    while node.weight != 50:
        fleet.tick()
    node.measured = "bad"
    fleet.run(5)
    assert (fleet.rollout.state, fleet.stages()) == ("failed", {"reverted": 1})


def test_a_node_that_is_cut_off_is_not_judged_and_does_not_pass() -> None:
    fleet = FleetDouble([1], CALM)
    fleet.nodes["n0-0"].measured = "few"
    fleet.run(30)
    fleet.nodes["n0-0"].away = True
    fleet.run(300)
    assert (fleet.rollout.state, judged(fleet)) == ("running", {"n0-0": "wait"})


def test_the_looks_are_kept_over_a_killed_runner_and_a_clock_that_is_set() -> None:
    fleet = FleetDouble([1], changed(gate="manual"))
    fleet.run_until("gate")
    before = fleet.steering.judged["n0-0"]
    fleet.kill_runner()
    fleet.tick()
    after = fleet.steering.judged["n0-0"]
    assert after.soaked > before.soaked
    assert after.looks.conditions.keys() == before.looks.conditions.keys()
    since = [each.since for each in after.looks.conditions.values()]
    assert since == [each.since for each in before.looks.conditions.values()]
    fleet.now -= 3600  # somebody sets the clock
    fleet.tick()
    assert fleet.steering.judged["n0-0"].soaked == after.soaked


def test_what_failed_once_stays_so_and_only_of_that_deployment() -> None:
    fleet = FleetDouble([1], changed(gate="manual"))
    fleet.nodes["n0-0"].measured = "bad"
    fleet.run_until("failed")
    assert judged(fleet) == {"n0-0": "fail"}
    fleet.nodes["n0-0"].measured = "well"
    fleet.steering.wish("retry", "maria", fleet.now)
    fleet.run_until("gate")
    assert judged(fleet) == {"n0-0": "pass"}
