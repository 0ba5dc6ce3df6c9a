"""The canaries of a wave go through a release's weights together."""

from __future__ import annotations

import msgspec

from console.rollouts.asks import Want
from console.rollouts.judging.analysis import Analysis
from console.rollouts.strategy import Amount, Deadlines, Strategy
from tests.console.rollouts.fleet_double import FleetDouble

CALM = Strategy(
    soak=10,
    min_healthy=0,
    max_unavailable=Amount(count=4),
    confirm_within=100,
    analysis=Analysis(conditions=()),
    deadline=Deadlines(apply=60),
)


def weighted(*waves: int, strategy: Strategy = CALM) -> FleetDouble:
    fleet = FleetDouble(waves, strategy)
    for node in fleet.nodes.values():
        node.weighted = True
    return fleet


def weights_seen(fleet: FleetDouble, seconds: int) -> list[set[int | None]]:
    """The weights that all canaries had together, each once, as time passed."""
    found: list[set[int | None]] = []
    for _ in range(seconds):
        fleet.tick()
        now = {node.weight for node in fleet.rollout.nodes if node.stage == "canary"}
        if now and (not found or found[-1] != now):
            found.append(now)
    return found


def test_a_wave_goes_from_weight_to_weight_and_each_is_watched() -> None:
    fleet = weighted(2, 1)
    assert weights_seen(fleet, 38) == [{0}, {10}, {50}, {100}]
    assert (fleet.stage("n0-0"), fleet.stage("n0-1")) == ("done", "done")
    fleet.run_until("done")
    said = [event.what for event in fleet.events if event.node is None]
    assert said[:7] == [
        "wave 1 runs at 10 %, and is watched",
        "wave 1 goes to 50 %",
        "wave 1 runs at 50 %, and is watched",
        "wave 1 goes to 100 %",
        "wave 1 runs at 100 %, and is watched",
        "wave 2 of 2",
        "wave 2 runs at 10 %, and is watched",
    ]


def test_a_shadow_step_gets_no_requests_and_is_watched_as_any_other() -> None:
    fleet = weighted(2, strategy=msgspec.structs.replace(CALM, weights=(0, 50, 100)))
    assert weights_seen(fleet, 34) == [{0}, {50}, {100}]
    said = [event.what for event in fleet.events if event.node is None]
    assert said[:2] == ["wave 1 runs at 0 %, and is watched", "wave 1 goes to 50 %"]
    fleet.run_until("done")


def test_a_step_begins_when_all_have_its_weight() -> None:
    fleet = weighted(2)
    fleet.nodes["n0-1"].lags = True
    fleet.run(40)
    progress = fleet.rollout.progress
    assert (progress.step, progress.soaks_since) == (0, None)
    fleet.nodes["n0-1"].lags = False
    fleet.run(5)
    assert fleet.rollout.progress.soaks_since is not None


def test_who_does_not_get_to_a_weight_goes_back() -> None:
    fleet = weighted(1)
    fleet.run(18)
    assert fleet.nodes["n0-0"].weight == 50
    fleet.nodes["n0-0"].lags = True
    fleet.run(90)
    assert (fleet.rollout.state, fleet.stages()) == ("failed", {"reverted": 1})
    assert "did not get to 100 % within 1m" in fleet.rollout.why


def test_a_node_that_splits_nothing_has_one_step() -> None:
    fleet = FleetDouble([2], CALM)
    fleet.run_until("done")
    assert [event.what for event in fleet.events if event.node is None] == [
        "wave 1 runs, and is watched",
        "done",
    ]


def test_beside_one_that_splits_its_requests_the_other_is_watched_all_along() -> None:
    fleet = FleetDouble([2], CALM)
    fleet.nodes["n0-0"].weighted = True
    fleet.run(30)
    assert {node.name: node.weight for node in fleet.rollout.nodes} == {"n0-0": 100, "n0-1": None}
    assert fleet.stages() == {"canary": 2}
    fleet.run_until("done")


def test_a_pause_and_a_gate_leave_the_weight_as_it_is() -> None:
    fleet = weighted(1, strategy=msgspec.structs.replace(CALM, gate="manual"))
    fleet.run(8)
    fleet.steering.wish("pause", "maria", fleet.now)
    fleet.run(1000, step=20)
    assert fleet.nodes["n0-0"].weight == 10
    assert fleet.steering.wants() == [Want("n0-0", "renew", 10)]
    fleet.steering.wish("resume", "maria", fleet.now)
    fleet.run(100)
    assert (fleet.rollout.state, fleet.nodes["n0-0"].weight) == ("gate", 100)
    fleet.run(1000, step=20)
    assert fleet.nodes["n0-0"].weight == 100


def test_promote_cuts_one_step_short() -> None:
    fleet = weighted(1, strategy=msgspec.structs.replace(CALM, soak=1000.0))
    fleet.run(8)
    assert fleet.nodes["n0-0"].weight == 10
    fleet.steering.wish("promote", "maria", fleet.now)
    fleet.run(500)
    assert (fleet.nodes["n0-0"].weight, fleet.stages()) == (50, {"canary": 1})


def test_a_killed_runner_goes_on_at_the_same_weight() -> None:
    fleet = weighted(2)
    while fleet.nodes["n0-0"].weight != 50:
        fleet.tick()
    for _ in range(5):
        fleet.kill_runner()
        fleet.tick()
    assert fleet.rollout.progress.step == 1
    assert weights_seen(fleet, 30)[-1] == {100}
    fleet.run_until("done")
    assert [node.applied for node in fleet.nodes.values()] == [1, 1]


def test_other_weights() -> None:
    strategy = msgspec.structs.replace(CALM, weights=(100,), soak=5.0)
    assert weights_seen(weighted(1, strategy=strategy), 30) == [{0}, {100}]
