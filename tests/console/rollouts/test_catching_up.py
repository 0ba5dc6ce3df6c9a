"""After the end: nodes that were offline take the release when they return, each alone."""

from __future__ import annotations

import msgspec

from console.rollouts.asks import Want
from console.rollouts.strategy import Amount, Strategy
from console.rollouts.windows import Window
from tests.console.rollouts.fleet_double import JUDGED, FleetDouble

DAY = 86400.0
CALM = Strategy(
    soak=20,
    min_healthy=0,
    max_unavailable=Amount(count=2),
    confirm_within=900,
    gate="manual",
    analysis=JUDGED,
)


def standing(away: int, strategy: Strategy = CALM) -> FleetDouble:
    """One that is done, but for so many nodes."""
    fleet = FleetDouble([1, 4], strategy)
    for number in range(away):
        fleet.nodes[f"n1-{number}"].away = True
    while fleet.rollout.state != "done":
        if fleet.rollout.state == "gate":
            fleet.steering.wish("promote", "maria", fleet.now)
        fleet.tick()
    return fleet


def test_done_with_nodes_outstanding_stands_for_a_week() -> None:
    fleet = standing(2)
    assert (fleet.rollout.why, fleet.stages()) == ("2 nodes outstanding", {"done": 3, "offline": 2})
    assert fleet.goes_on()
    assert fleet.steering.wants() == [Want("n1-0", "reach"), Want("n1-1", "reach")]
    fleet.run(7 * DAY - 600, step=600)
    assert fleet.goes_on()
    fleet.run(1200, step=600)
    assert not fleet.goes_on()
    assert fleet.events[-1].what == "the time to catch up is over"
    fleet.nodes["n1-0"].away = False
    fleet.run(3600, step=60)
    assert fleet.stages() == {"done": 3, "offline": 2}


def test_one_that_is_done_with_all_does_not_stand() -> None:
    fleet = standing(0)
    assert not fleet.goes_on()


def test_without_catch_up_it_is_over_at_its_end() -> None:
    fleet = standing(1, msgspec.structs.replace(CALM, catch_up=0.0))
    assert not fleet.goes_on()


def test_who_returns_is_prepared_watched_judged_and_confirmed_alone() -> None:
    fleet = standing(2)
    node = fleet.nodes["n1-0"]
    node.away, node.weighted = False, True
    fleet.events.clear()
    while fleet.stage("n1-0") != "done":
        fleet.tick()
    assert [(event.node, event.what) for event in fleet.events] == [
        ("n1-0", "preparing"),
        ("n1-0", "prepared"),
        ("n1-0", "applying"),
        ("n1-0", "canary"),
        ("n1-0", "judged: pass"),
        ("n1-0", "judged: pass"),
        ("n1-0", "judged: pass"),
        ("n1-0", "confirming"),
        ("n1-0", "done"),
    ]
    assert fleet.rollout.state == "done"
    assert fleet.rollout.stands_until is not None  # another is outstanding
    fleet.nodes["n1-1"].away = False
    while fleet.goes_on():
        fleet.tick()
    assert fleet.stages() == {"done": 5}
    assert fleet.events[-1].what == "no node is outstanding any more"


def test_preflight_may_refuse_who_returns() -> None:
    fleet = standing(1)
    fleet.nodes["n1-0"].away, fleet.nodes["n1-0"].refuses = False, True
    fleet.run(10)
    assert (fleet.rollout.state, fleet.stages()) == ("done", {"done": 4, "cannot": 1})


def test_who_fails_goes_back_and_nobody_else() -> None:
    fleet = standing(2)
    for number in (0, 1):
        fleet.nodes[f"n1-{number}"].away = False
    fleet.nodes["n1-0"].measured = "bad"
    while fleet.goes_on():
        fleet.tick()
    assert (fleet.rollout.state, fleet.stages()) == ("done", {"done": 4, "reverted": 1})


def test_who_cannot_be_judged_goes_back_since_nobody_is_there_to_ask() -> None:
    fleet = standing(1)
    fleet.nodes["n1-0"].away, fleet.nodes["n1-0"].measured = False, "blind"
    while fleet.goes_on():
        fleet.tick()
    assert fleet.stages() == {"done": 4, "reverted": 1}


def test_no_more_at_a_time_and_in_their_windows() -> None:
    night = Window(cron="0 2 * * *", duration=3600.0, zone="UTC")
    strategy = msgspec.structs.replace(CALM, max_unavailable=Amount(count=1))
    fleet = standing(4, strategy)
    for node in fleet.nodes.values():
        node.away, node.slow = False, 5
    fleet.rollout.strategy = msgspec.structs.replace(strategy, window=night)
    fleet.kill_runner()
    fleet.run(30)
    assert fleet.stages() == {"done": 1, "held": 4}
    while fleet.goes_on():
        fleet.tick(5)
        assert fleet.stages().get("applying", 0) <= 1
    assert fleet.stages() == {"done": 5}


def test_a_killed_runner_goes_on_catching_up() -> None:
    fleet = standing(1)
    fleet.nodes["n1-0"].away = False
    while fleet.goes_on():
        fleet.kill_runner()
        fleet.tick()
    assert fleet.stages() == {"done": 5}
    assert fleet.nodes["n1-0"].applied == 1


def test_a_newer_rollout_takes_what_is_outstanding_and_not_what_has_begun() -> None:
    fleet = standing(3)
    fleet.nodes["n1-0"].away = fleet.nodes["n1-1"].away = False
    fleet.nodes["n1-1"].lacks = 1000
    while fleet.stage("n1-0") != "canary":
        fleet.tick()
    assert (fleet.stage("n1-1"), fleet.stage("n1-2")) == ("preparing", "offline")
    fleet.steering.supersede(dict.fromkeys(fleet.nodes, "bb"), fleet.now)
    assert fleet.stages() == {"done": 2, "canary": 1, "skipped": 2}
    assert fleet.rollout.node("n1-2").why == "rollout bb has it now"
    while fleet.goes_on():
        fleet.tick()
    assert fleet.stages() == {"done": 3, "skipped": 2}


def test_undo_retry_and_abort_of_one_that_stands() -> None:
    fleet = standing(1)
    fleet.nodes["n1-0"].away = False
    while fleet.stage("n1-0") != "canary":
        fleet.tick()
    assert fleet.steering.wish("retry", "maria", fleet.now) == "a node catches up just now"
    assert fleet.steering.wish("abort", "maria", fleet.now) is None
    fleet.run(5)
    assert (fleet.rollout.state, fleet.stages()) == ("done", {"done": 4, "reverted": 1})
    assert not fleet.goes_on()
    assert fleet.steering.wish("undo", "maria", fleet.now) is None
    fleet.run(20)
    assert (fleet.rollout.state, fleet.stages()) == ("undone", {"reverted": 5})
    other = standing(2)
    assert other.steering.wish("retry", "maria", other.now) is None
    assert other.rollout.stands_until is None
    other.run_until("done")
    assert other.rollout.stands_until is not None
