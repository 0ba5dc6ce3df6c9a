"""What people may want of a rollout, and who."""

from __future__ import annotations

import msgspec
import pytest

from console.rollouts.judging.analysis import Analysis
from console.rollouts.record import Wish
from console.rollouts.strategy import Amount, Strategy
from tests.console.rollouts.fleet_double import FleetDouble

CALM = Strategy(
    soak=100,
    min_healthy=0,
    max_unavailable=Amount(count=2),
    confirm_within=900,
    analysis=Analysis(conditions=()),
)


def made(*waves: int, **changes: object) -> FleetDouble:
    fleet = FleetDouble(waves, msgspec.structs.replace(CALM, **changes))
    fleet.rollout.started_by = "jo"  # maria owns it
    return fleet


def test_an_approval_needs_somebody_else() -> None:
    fleet = made(1, 1, gate="approval")
    fleet.run_until("gate")
    assert fleet.rollout.why == "wave 1 is well; somebody else is to promote it"
    for who, did in (("maria", "planned"), ("jo", "started")):
        refusal = fleet.steering.wish("promote", who, fleet.now)
        assert refusal is not None
        assert f"{who} has {did} it" in refusal
        assert fleet.rollout.state == "gate"
    fleet.run(3600, step=10)
    assert (fleet.rollout.state, fleet.stages()) == ("gate", {"canary": 1, "planned": 1})
    assert fleet.steering.wish("promote", "ann", fleet.now) is None
    fleet.run_until("gate")
    assert fleet.stages() == {"done": 1, "canary": 1}
    assert fleet.events[-1].why == "wave 2 is well; somebody else is to promote it"


def test_the_soak_is_not_cut_short_past_an_approval_either() -> None:
    fleet = made(1, gate="approval")
    fleet.run(20)
    assert fleet.stages() == {"canary": 1}
    assert fleet.steering.wish("promote", "maria", fleet.now) is not None
    assert fleet.steering.wish("pause", "maria", fleet.now) is None  # that anybody may
    assert fleet.steering.wish("promote", "jo", fleet.now) is not None


def test_who_owns_it_may_promote_a_manual_gate() -> None:
    fleet = made(1, gate="manual")
    fleet.run_until("gate")
    assert fleet.steering.wish("promote", "maria", fleet.now) is None
    fleet.run_until("done")


def test_nothing_is_promoted_before_it_is_watched() -> None:
    fleet = made(2)
    fleet.nodes["n0-0"].slow = 1000
    fleet.run(20)
    assert fleet.steering.wish("promote", "maria", fleet.now) == "no wave is being watched now"


def test_promote_of_one_that_paused_takes_its_failures_as_seen() -> None:
    fleet = made(2, 1, on_failure="pause")
    fleet.nodes["n0-0"].fails = True
    fleet.run(150)
    assert (fleet.rollout.state, fleet.stages()) == ("paused", {"canary": 1, "reverted": 1,
                                                               "planned": 1})  # fmt: skip
    assert fleet.steering.wish("promote", "maria", fleet.now) == "no wave is being watched now"
    assert fleet.steering.wish("resume", "maria", fleet.now) is None
    fleet.run(20)
    fleet.steering.wish("pause", "maria", fleet.now)
    assert fleet.steering.wish("promote", "maria", fleet.now) is None
    fleet.run_until("done")
    assert fleet.stages() == {"done": 2, "reverted": 1}


@pytest.mark.parametrize("wish", ["undo", "undo-at-once"])
def test_undo_where_no_node_runs_it(wish: Wish) -> None:
    fleet = made(1)
    fleet.nodes["n0-0"].fails = True
    fleet.run_until("failed")
    assert fleet.steering.wish(wish, "maria", fleet.now) == "no node runs it"


def test_a_share_of_failures_counts_from_the_fifth_node_on() -> None:
    for nodes, ends in ((4, "failed"), (5, "done")):
        fleet = made(nodes, failures=Amount(percent=25))
        fleet.nodes["n0-0"].fails = True
        fleet.run(700)
        assert fleet.rollout.state == ends
