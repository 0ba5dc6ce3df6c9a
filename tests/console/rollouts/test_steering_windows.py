"""Nodes begin to change in their window alone; what has begun is finished."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from console.rollouts.judging.analysis import Analysis
from console.rollouts.strategy import Amount, Strategy
from console.rollouts.windows import Window
from tests.console.rollouts.fleet_double import FleetDouble

NIGHT = Window(cron="0 2 * * *", duration=3 * 3600.0)
CALM = Strategy(
    soak=600,
    min_healthy=0,
    max_unavailable=Amount(count=9),
    confirm_within=900,
    analysis=Analysis(conditions=()),
    window=NIGHT,
)


def at(text: str, zone: str = "Europe/Berlin") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def fleet_at(text: str, *zones: str, strategy: Strategy = CALM) -> FleetDouble:
    """One wave of a node in each zone, and what it is o'clock in Berlin."""
    fleet = FleetDouble([len(zones)], strategy, now=at(text))
    for node, zone in zip(fleet.rollout.nodes, zones, strict=True):
        node.zone = zone
    return fleet


def test_a_node_is_prepared_before_its_window_and_held_until_it_opens() -> None:
    fleet = fleet_at("2026-11-20T23:00", "Europe/Berlin")
    fleet.run(60)
    node = fleet.rollout.nodes[0]
    assert node.stage == "held"
    assert node.why == "its window opens at 2026-11-21 02:00 Europe/Berlin"
    assert [event.what for event in fleet.events] == ["preparing", "prepared", "held"]  # once
    while fleet.stage(node.name) == "held":
        fleet.tick(10)
    assert at("2026-11-21T02:00") <= fleet.now < at("2026-11-21T02:01")
    fleet.run_until("done")


def test_each_node_has_the_night_of_its_own_zone() -> None:
    fleet = fleet_at("2026-11-20T12:00", "Asia/Tokyo", "Europe/Berlin", "America/New_York")
    began: dict[str, float] = {}
    while len(began) < 3:
        fleet.tick(30)
        for node in fleet.rollout.nodes:
            if node.stage == "canary":
                began.setdefault(node.zone or "", fleet.now)
    assert [zone for zone, _ in sorted(began.items(), key=lambda each: each[1])] == [
        "Asia/Tokyo",
        "Europe/Berlin",
        "America/New_York",
    ]
    for zone, moment in began.items():
        assert datetime.fromtimestamp(moment, ZoneInfo(zone)).hour == 2
    # The first one was kept in touch with all the while: its lease is 15 minutes.
    assert fleet.stages() == {"canary": 3}


def test_a_zone_of_the_window_is_for_all_nodes() -> None:
    strategy = msgspec.structs.replace(
        CALM, window=msgspec.structs.replace(NIGHT, zone="Europe/Berlin")
    )
    fleet = fleet_at("2026-11-21T02:30", "Asia/Tokyo", strategy=strategy)
    fleet.run(60)
    assert fleet.stages() == {"canary": 1}


def test_what_is_under_way_when_it_closes_is_finished() -> None:
    fleet = fleet_at("2026-11-21T04:58", "Europe/Berlin", "Europe/Berlin")
    fleet.nodes["n0-0"].slow = fleet.nodes["n0-1"].slow = 60
    fleet.nodes["n0-1"].lacks = 180  # it gets prepared when the window is over
    fleet.run(600)
    assert fleet.stages() == {"canary": 1, "held": 1}
    fleet.run(3600, step=10)
    assert fleet.stages() == {"canary": 1, "held": 1}  # watched, and renewed


def test_going_back_waits_for_no_window() -> None:
    fleet = fleet_at("2026-11-21T04:50", "Europe/Berlin")
    fleet.run(30)
    fleet.now = at("2026-11-21T04:58")
    fleet.tick()
    fleet.now = at("2026-11-21T05:05")
    fleet.steering.wish("abort", "maria", fleet.now)
    fleet.run(5)
    assert (fleet.rollout.state, fleet.stages()) == ("aborted", {"reverted": 1})


def test_judging_goes_on_while_a_neighbour_is_held() -> None:
    fleet = fleet_at("2026-11-21T02:30", "Europe/Berlin", "America/New_York")
    fleet.run(60)
    assert fleet.stages() == {"canary": 1, "held": 1}
    fleet.nodes["n0-0"].fails = True
    fleet.run(10)
    assert (fleet.rollout.state, fleet.stages()) == ("failed", {"reverted": 1, "skipped": 1})


def test_a_window_that_opens_where_none_may_change_yet() -> None:
    strategy = msgspec.structs.replace(CALM, max_unavailable=Amount(count=1))
    fleet = fleet_at("2026-11-21T01:59", "Europe/Berlin", "Europe/Berlin", strategy=strategy)
    fleet.nodes["n0-0"].slow = 600
    fleet.run(300)
    assert fleet.stages() == {"applying": 1, "prepared": 1}


def test_whose_zone_this_machine_does_not_know_waits_and_says_so() -> None:
    fleet = fleet_at("2026-11-21T02:30", "Europe/Atlantis")
    fleet.run(60)
    node = fleet.rollout.nodes[0]
    assert node.stage == "held"
    assert "knows no zone 'Europe/Atlantis'" in node.why


def test_the_clock_of_the_night_when_it_is_set() -> None:
    fleet = fleet_at("2026-03-28T12:00", "Europe/Berlin")  # 02:00 to 03:00 is left out tonight
    node = fleet.rollout.nodes[0]
    while node.stage != "applying":
        fleet.tick(10)
    assert datetime.fromtimestamp(fleet.now, ZoneInfo("Europe/Berlin")).strftime("%d %H:%M") == (
        "29 03:00"
    )
