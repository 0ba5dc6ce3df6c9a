"""What a rollout waits for, in words."""

from __future__ import annotations

import msgspec

from console.rollouts.strategy import Amount, Strategy
from console.rollouts.waiting import soak_left, waits_for
from console.rollouts.windows import Window
from tests.console.rollouts.fleet_double import JUDGED, FleetDouble

CALM = Strategy(
    soak=100,
    min_healthy=0,
    max_unavailable=Amount(count=5),
    confirm_within=900,
    gate="manual",
    analysis=JUDGED,
)


def words(fleet: FleetDouble) -> list[str]:
    return waits_for(fleet.rollout, fleet.now)


def test_from_its_first_wave_to_its_end() -> None:
    fleet = FleetDouble([5, 1], CALM)
    for number, node in enumerate(fleet.nodes.values()):
        node.lacks, node.slow, node.weighted = 3, 5 if number else 3, number == 0
    fleet.nodes["n0-3"].measured = "few"
    fleet.tick()
    assert words(fleet) == ["for n0-0, n0-1, n0-2 and 2 more nodes to be prepared"]
    fleet.run(7)
    assert words(fleet) == ["for n0-0, n0-1, n0-2 and 2 more nodes to run the release"]
    while fleet.stages().get("canary", 0) < 5:
        fleet.tick()
    assert words(fleet) == ["for wave 1 to be at 10 %"]
    assert soak_left(fleet.rollout, fleet.now) is None
    fleet.run(41)
    assert words(fleet) == ["wave 1 is watched at 10 % for 1m more"]
    fleet.run(150)
    (judged,) = words(fleet)
    assert judged.startswith("for n0-3 to be judged: web: ")
    fleet.nodes["n0-3"].measured = "well"
    fleet.run_until("gate")
    assert words(fleet) == ["for somebody to promote wave 1"]
    fleet.steering.wish("pause", "maria", fleet.now)
    assert words(fleet) == ["for somebody to resume it, to promote the wave, or to abort"]
    fleet.steering.wish("promote", "maria", fleet.now)
    fleet.steering.step(fleet.now)
    assert words(fleet) == ["for n0-0, n0-1, n0-2 and 2 more nodes to confirm"]
    fleet.nodes["n1-0"].away = True
    fleet.run_until("done")
    assert words(fleet) == ["for n1-0 to return, 7d more"]
    fleet.steering.wish("undo", "maria", fleet.now)
    fleet.steering.step(fleet.now)
    assert words(fleet) == ["for n0-0, n0-1, n0-2 and 2 more nodes to go back"]
    fleet.run_until("undone")
    assert words(fleet) == []


def test_windows_and_approval() -> None:
    night = Window(cron="0 2 * * *", duration=3600.0)
    fleet = FleetDouble([2], msgspec.structs.replace(CALM, window=night, gate="approval"))
    fleet.rollout.nodes[0].zone, fleet.rollout.nodes[1].zone = "UTC", "Asia/Tokyo"
    fleet.run(5)
    assert words(fleet) == [
        "for n0-0: its window opens at 1970-01-13 02:00 UTC",
        "for n0-1: its window opens at 1970-01-13 02:00 Asia/Tokyo",
    ]
    while fleet.stages() != {"canary": 2}:
        fleet.tick(30)
    fleet.run_until("gate")
    assert words(fleet) == ["for somebody else than who planned or started it to promote wave 1"]
