"""Five hundred nodes and a clock that a test moves: waves, budgets, windows, tolerances."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from console.rollouts.asks import Want
from console.rollouts.judging.analysis import Analysis, Condition
from console.rollouts.strategy import Amount, PerGroup, Strategy
from console.rollouts.windows import Window, Windows
from tests.console.rollouts.fleet_double import FleetDouble

pytestmark = pytest.mark.timeout(120)

WAVES = (5, 45, 100, 150, 200)
SITES = 25
ZONES = ("UTC", "Europe/Berlin", "Africa/Cairo", "Atlantic/Azores")
TICK_SECONDS = 60.0
NIGHT = Window(cron="0 1 * * *", duration=4 * 3600.0)
STRATEGY = Strategy(
    soak=300,
    min_healthy=30,
    max_unavailable=Amount(percent=10),
    max_unavailable_per=(PerGroup("site", Amount(count=2)),),
    failures=Amount(percent=3),
    confirm_within=900,
    window=NIGHT,
    analysis=Analysis(conditions=(Condition(of="restarts", at_most=0),)),
)


def made(failing: int, away: int) -> FleetDouble:
    """In four zones; of the nodes after the first wave so many fail, or are away."""
    fleet = FleetDouble(WAVES, STRATEGY, now=1_774_700_000.0)  # the night before summer time
    chance = Random(7)
    for number, node in enumerate(fleet.rollout.nodes):
        node.groups, node.zone = {"site": f"s{number % SITES}"}, ZONES[number % SITES % len(ZONES)]
        double = fleet.nodes[node.name]
        double.slow, double.lacks = chance.randrange(4), chance.randrange(30)
        double.weighted = number % 3 == 0
    odd = chance.sample([each.name for each in fleet.rollout.nodes if each.wave], failing + away)
    for name in odd[:failing]:
        fleet.nodes[name].measured = "bad"
    for name in odd[failing:]:
        fleet.nodes[name].away = True
    return fleet


class Watcher:
    """Lets time pass, and sees that every limit holds at every moment."""

    def __init__(self, fleet: FleetDouble) -> None:
        self.fleet = fleet
        self.most = Counter[str]()

    def tick(self) -> None:
        before = {node.name: node.stage for node in self.fleet.rollout.nodes}
        self.fleet.tick(TICK_SECONDS)
        windows, now = Windows(NIGHT), Counter[str]()
        rollout = self.fleet.rollout
        for node in rollout.nodes:
            if node.stage in ("applying", "reverting"):
                now["all"] += 1
                now[node.groups["site"]] += 1
            if node.stage == "applying" != before[node.name]:
                assert windows.why_closed(node.zone, self.fleet.now) is None
                assert node.wave == rollout.wave or node.alone
        if rollout.state != "reverting":
            assert now["all"] <= 50
            assert all(count <= 2 for name, count in now.items() if name != "all")
        self.most |= now


def test_through_all_waves_in_their_nights_with_failures_that_are_tolerated() -> None:
    fleet = made(failing=15, away=10)
    watcher = Watcher(fleet)
    began = fleet.now
    while fleet.rollout.state != "done":
        assert fleet.rollout.state == "running"
        watcher.tick()
    assert fleet.stages() == {"done": 475, "reverted": 15, "offline": 10}
    assert watcher.most["all"] > 10  # not one by one
    assert fleet.now - began > 86400  # one night is not enough
    assert [node.applied for node in fleet.nodes.values()].count(1) == 490
    for node in fleet.nodes.values():
        node.away = False
    while fleet.goes_on():
        watcher.tick()
    assert fleet.stages() == {"done": 485, "reverted": 15}


def test_one_failure_too_many_brings_the_wave_back_and_no_other() -> None:
    fleet = made(failing=16, away=0)
    watcher = Watcher(fleet)
    while fleet.goes_on():
        watcher.tick()
    assert fleet.rollout.state == "failed"
    assert "16 nodes failed" in fleet.rollout.why
    assert fleet.rollout.wave == len(WAVES) - 1 or fleet.stages()["skipped"] > 0
    for node in fleet.rollout.nodes:
        kept = node.wave < fleet.rollout.wave and not node.failed
        assert (node.stage == "done") == kept, node


def test_an_abort_asks_all_unconfirmed_nodes_in_the_same_moment() -> None:
    fleet = made(failing=0, away=0)
    while fleet.rollout.wave < 4 or fleet.stages().get("canary", 0) < 20:
        fleet.tick(TICK_SECONDS)
    begun = [n.name for n in fleet.rollout.nodes if n.stage in ("applying", "canary")]
    done = fleet.stages()["done"]
    fleet.steering.wish("abort", "maria", fleet.now)
    fleet.steering.step(fleet.now)
    assert fleet.steering.wants() == [Want(name, "revert") for name in begun]
    fleet.run(3)
    assert (fleet.rollout.state, fleet.stages()["done"]) == ("aborted", done)
    assert fleet.stages()["reverted"] == len(begun)
