"""What a rollout does next, with nodes that are none and a clock that a test moves."""

from __future__ import annotations

import msgspec
import pytest

from console.rollouts.judging.analysis import Analysis
from console.rollouts.record import Wish
from console.rollouts.strategy import Amount, Deadlines, Strategy, Wave
from tests.console.rollouts.fleet_double import FleetDouble

CALM = Strategy(
    soak=10,
    min_healthy=0,
    max_unavailable=Amount(count=2),
    confirm_within=100,
    analysis=Analysis(conditions=()),
    deadline=Deadlines(prepare=300, apply=300, judge=300, confirm=300, revert=300),
)


def changed(**changes: object) -> Strategy:
    return msgspec.structs.replace(CALM, **changes)


def test_all_is_well() -> None:
    fleet = FleetDouble([1, 2, 5], CALM)
    fleet.tick()
    assert fleet.stages() == {"prepared": 1, "planned": 7}
    fleet.tick()
    assert fleet.stages() == {"applying": 1, "planned": 7}
    fleet.run(8)
    assert fleet.stages() == {"canary": 1, "planned": 7}  # it soaks
    fleet.run(100)
    assert (fleet.rollout.state, fleet.stages()) == ("done", {"done": 8})
    assert [node.applied for node in fleet.nodes.values()] == [1] * 8
    said = [event.what for event in fleet.events if event.node is None]
    assert said == [
        "wave 1 runs, and is watched",
        "wave 2 of 3",
        "wave 2 runs, and is watched",
        "wave 3 of 3",
        "wave 3 runs, and is watched",
        "done",
    ]


def test_all_of_a_wave_prepare_at_once_and_change_a_few_at_a_time() -> None:
    fleet = FleetDouble([7, 1], CALM)
    for number, node in enumerate(fleet.nodes.values()):
        node.lacks = 30 + number
    fleet.run(20)
    assert fleet.stages() == {"preparing": 7, "planned": 1}
    assert fleet.rollout.nodes[0].why == "40 %"
    fleet.steering.wish("abort", "maria", fleet.now)
    fleet.run(2)
    assert (fleet.rollout.state, fleet.stages()) == ("aborted", {"skipped": 8})
    assert [node.applied for node in fleet.nodes.values()] == [0] * 8


def test_who_is_not_prepared_in_time_cannot_take_it() -> None:
    fleet = FleetDouble([1, 1], CALM)
    fleet.nodes["n0-0"].lacks = 10_000
    fleet.run(310)
    assert (fleet.rollout.state, fleet.stages()) == ("failed", {"cannot": 1, "skipped": 1})
    assert "prepared within 5m" in fleet.rollout.why


def test_no_more_change_at_a_time_than_may() -> None:
    fleet = FleetDouble([7], CALM)
    for node in fleet.nodes.values():
        node.slow = 3
    for _ in range(60):
        fleet.tick()
        assert fleet.stages().get("applying", 0) <= 2
    assert fleet.rollout.state == "done"


def test_a_failure_brings_its_wave_back_and_nothing_else() -> None:
    fleet = FleetDouble([1, 3, 4], CALM)
    fleet.nodes["n1-1"].fails = True
    fleet.run(60)
    assert fleet.rollout.state == "failed"
    assert fleet.stages() == {"done": 1, "reverted": 2, "skipped": 5}
    assert fleet.stage("n0-0") == "done"
    assert "n1-1: it is not well" in fleet.rollout.why


def test_revert_all_takes_earlier_waves_along_a_few_at_a_time() -> None:
    fleet = FleetDouble([5, 2], changed(on_failure="revert-all", max_unavailable=Amount(count=2)))
    fleet.nodes["n1-0"].fails = True
    fleet.run_until("reverting")
    most = 0
    while "failed" not in {event.what for event in fleet.events}:
        fleet.steering.step(fleet.now)
        going = [each for each in fleet.rollout.nodes if each.stage == "reverting"]
        most = max(most, sum(each.name.startswith("n0") for each in going))
        fleet.tick()
    assert most <= 2
    assert fleet.stages() == {"reverted": 7}


def test_tolerated_failures_do_not_stop_it() -> None:
    fleet = FleetDouble([1, 9], changed(failures=Amount(percent=10)))
    fleet.nodes["n1-4"].fails = True
    fleet.run(200)
    assert (fleet.rollout.state, fleet.rollout.why) == ("done", "1 node outstanding")
    assert fleet.stages() == {"done": 9, "reverted": 1}


def test_a_share_of_failures_counts_from_the_fifth_node_on() -> None:
    fleet = FleetDouble([1, 3], changed(failures=Amount(percent=50)))
    fleet.nodes["n1-0"].fails = True
    fleet.run(100)
    assert fleet.rollout.state == "failed"


def test_pause_on_failure_and_resume() -> None:
    fleet = FleetDouble([2, 2], changed(on_failure="pause"))
    fleet.nodes["n0-1"].fails = True
    fleet.run(60)
    assert fleet.rollout.state == "paused"
    assert fleet.stages() == {"canary": 1, "reverted": 1, "planned": 2}
    fleet.run(500)  # the lease is renewed all the while
    assert fleet.stage("n0-0") == "canary"
    assert fleet.steering.wish("resume", "maria", fleet.now) is None
    fleet.run(100)
    assert (fleet.rollout.state, fleet.stages()) == ("done", {"done": 3, "reverted": 1})


def test_a_manual_gate_stays_open_all_night_and_nothing_goes_back() -> None:
    fleet = FleetDouble([1, 1], changed(gate="manual"))
    fleet.run(12 * 3600, step=20)
    assert (fleet.rollout.state, fleet.stages()) == ("gate", {"canary": 1, "planned": 1})
    assert fleet.steering.wish("promote", "maria", fleet.now) is None
    fleet.run(60)
    assert (fleet.rollout.state, fleet.stages()) == ("gate", {"done": 1, "canary": 1})
    assert fleet.events[-1].by == "the runner"


def test_a_gate_goes_on_judging() -> None:
    fleet = FleetDouble([1, 1], changed(gate="manual"))
    fleet.run(30)
    assert fleet.rollout.state == "gate"
    fleet.nodes["n0-0"].fails = True
    fleet.run(5)
    assert (fleet.rollout.state, fleet.stages()) == ("failed", {"reverted": 1, "skipped": 1})


def test_promote_cuts_the_soak_short() -> None:
    fleet = FleetDouble([1, 1], changed(soak=10_000))
    fleet.run(10)
    assert fleet.steering.wish("promote", "maria", fleet.now) is None
    fleet.run(5)
    assert fleet.stages() == {"done": 1, "canary": 1}
    fleet.run(100)
    assert fleet.rollout.state == "running"  # the next wave has a soak of its own


def test_abort_leaves_what_is_done_and_abort_all_does_not() -> None:
    for wish, left in (("abort", {"done": 1, "reverted": 2, "skipped": 1}),
                       ("abort-all", {"reverted": 3, "skipped": 1})):  # fmt: skip
        fleet = FleetDouble([1, 3], changed(soak=20))
        while fleet.stages().get("canary", 0) < 2 or fleet.rollout.wave == 0:
            fleet.tick()
        asked: Wish = wish  # type: ignore[assignment]
        assert fleet.steering.wish(asked, "maria", fleet.now) is None
        fleet.run(5)
        assert (fleet.rollout.state, fleet.stages()) == ("aborted", left)


def test_undo_brings_all_back_in_small_steps() -> None:
    fleet = FleetDouble([1, 5], CALM)
    fleet.run(100)
    assert fleet.rollout.state == "done"
    assert fleet.steering.wish("undo", "maria", fleet.now) is None
    fleet.run(20)
    assert (fleet.rollout.state, fleet.stages()) == ("undone", {"reverted": 6})
    assert fleet.steering.wish("undo", "maria", fleet.now) == "it is undone"


def test_offline_nodes_keep_nobody_up_and_are_told() -> None:
    fleet = FleetDouble([1, 2], CALM)
    fleet.nodes["n1-0"].away = True
    fleet.run(200)
    assert (fleet.rollout.state, fleet.rollout.why) == ("done", "1 node outstanding")
    assert fleet.stages() == {"done": 2, "offline": 1}
    fleet.nodes["n1-0"].away = False
    assert fleet.steering.wish("retry", "maria", fleet.now) is None
    fleet.run(60)
    assert (fleet.rollout.state, fleet.stages()) == ("done", {"done": 3})


def test_a_canary_that_is_not_heard_of_is_lost_after_its_lease() -> None:
    fleet = FleetDouble([1, 1], changed(gate="manual"))
    fleet.run(20)
    fleet.nodes["n0-0"].away = True
    fleet.run(100 + 50)
    assert fleet.stage("n0-0") == "canary"  # a short cut is none of its business
    fleet.run(20)
    assert fleet.stage("n0-0") == "lost"
    assert fleet.rollout.state == "failed"


def test_a_runner_that_is_away_all_night_finds_its_canaries_reverted() -> None:
    fleet = FleetDouble([1, 1], changed(gate="manual"))
    fleet.run(20)
    fleet.now += 12 * 3600
    fleet.kill_runner()
    fleet.run(5)
    assert "nobody steered it for 12h, longer than nodes wait until they go back" in [
        event.what for event in fleet.events
    ]
    assert (fleet.rollout.state, fleet.stages()) == ("failed", {"reverted": 1, "skipped": 1})


def test_who_does_not_get_well_in_time_goes_back() -> None:
    fleet = FleetDouble([1, 1], CALM)
    fleet.nodes["n0-0"].slow = 10_000
    fleet.run(310)
    assert (fleet.rollout.state, fleet.stages()) == ("failed", {"reverted": 1, "skipped": 1})
    assert "within 5m" in fleet.rollout.why


def test_refused_unchanged_and_stuck() -> None:
    fleet = FleetDouble([4], changed(failures=Amount(count=1), max_unavailable=Amount(count=4)))
    fleet.nodes["n0-0"].refuses = True
    fleet.nodes["n0-1"].has_it = True
    fleet.nodes["n0-2"].fails = fleet.nodes["n0-2"].sticks = True
    fleet.run(60)
    assert fleet.stages() == {"cannot": 1, "done": 1, "reverted": 2}
    assert (fleet.rollout.state, fleet.rollout.why) == (
        "failed",
        "2 nodes failed, n0-2: it is not well",
    )


def test_a_node_that_cannot_go_back_is_stuck_and_the_rollout_ends() -> None:
    fleet = FleetDouble([2], changed(soak=1000))
    fleet.run(5)
    fleet.nodes["n0-0"].sticks = True
    fleet.steering.wish("abort", "maria", fleet.now)
    fleet.run(5)
    assert (fleet.rollout.state, fleet.stages()) == ("aborted", {"stuck": 1, "reverted": 1})


@pytest.mark.parametrize("wish", ["resume", "undo", "retry"])
def test_what_cannot_be_done_now_changes_nothing(wish: Wish) -> None:
    fleet = FleetDouble([1], CALM)
    fleet.run(3)
    assert fleet.steering.wish(wish, "maria", fleet.now) == "it is running"
    assert fleet.rollout.state == "running"


def test_a_wave_that_nobody_tried_is_no_proof_for_the_next() -> None:
    for trouble in ("away", "refuses", "fails"):
        fleet = FleetDouble([2, 3], changed(failures=Amount(count=2)))
        for name in ("n0-0", "n0-1"):
            setattr(fleet.nodes[name], trouble, True)
        fleet.run_until("paused")
        assert fleet.rollout.why.startswith("wave 1: nobody tried it for the others (2 ")
        fleet.run(500)
        assert (fleet.rollout.state, fleet.stages()["planned"]) == ("paused", 3)
        fleet.kill_runner()
        wish: Wish = "promote" if trouble == "away" else "resume"
        assert fleet.steering.wish(wish, "maria", fleet.now) is None
        fleet.run_until("done")
        assert fleet.stages()["done"] == 3


def test_a_wave_that_nobody_tried_may_be_tried_again() -> None:
    fleet = FleetDouble([1, 2], CALM)
    fleet.nodes["n0-0"].away = True
    fleet.run_until("paused")
    fleet.nodes["n0-0"].away = False
    assert fleet.steering.wish("retry", "maria", fleet.now) is None
    fleet.run_until("done")
    assert fleet.stages() == {"done": 3}


def test_waves_of_defaults() -> None:
    assert Strategy().waves == (Wave(nodes=1), Wave(percent=10))
    assert Strategy().at_once(3) == 1
    assert Strategy().at_once(300) == 30
    assert Strategy().tolerated(300) == 0
