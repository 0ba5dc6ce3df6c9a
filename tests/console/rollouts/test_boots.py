"""Agents that were upgraded: their soak is that of one start, and who is silent has failed."""

from __future__ import annotations

import msgspec

from console.rollouts.boots import RESTARTS
from console.rollouts.record import KitFile
from tests.console.rollouts.fleet_double import FleetDouble
from tests.console.rollouts.test_lost import CALM, until_stage

KIT = KitFile(path="kit", arch="x86_64", id="2.0-b", version="2.0", size_bytes=1, sha256="0" * 64)


def watched(soak: float = CALM.soak) -> FleetDouble:
    fleet = FleetDouble([2, 1], msgspec.structs.replace(CALM, soak=soak))
    fleet.rollout.kits = [KIT]
    for node in fleet.nodes.values():
        node.boot = "boot0"
    until_stage(fleet, "n0-1", "canary")
    fleet.run(soak - 3)
    return fleet


def test_an_agent_that_starts_again_is_watched_anew() -> None:
    fleet = watched()
    fleet.nodes["n0-0"].boot = "boot1"
    fleet.run(CALM.soak - 1)
    assert fleet.stages() == {"canary": 2, "planned": 1}
    fleet.run_until("done")
    assert fleet.stages() == {"done": 3}
    again = [event.node for event in fleet.events if "started again" in event.what]
    assert again == ["n0-0"]


def test_one_that_goes_on_ending_goes_back() -> None:
    fleet = watched()
    for number in range(RESTARTS):
        fleet.nodes["n0-0"].boot = f"again{number}"
        fleet.run(2)
    fleet.run_until("failed")
    node = fleet.rollout.node("n0-0")
    assert (node.stage, node.failed) == ("reverted", True)


def test_nobody_is_through_who_is_not_heard_of() -> None:
    fleet = watched(soak=70)
    fleet.now += 61  # nobody asks meanwhile
    fleet.nodes["n0-0"].mute = True
    fleet.run(60)
    assert fleet.stages() == {"canary": 2, "planned": 1}
    fleet.run_until("failed")
    node = fleet.rollout.node("n0-0")
    assert (node.failed, node.back) == (True, True)


def test_an_agent_that_is_lost_while_it_confirms_has_failed() -> None:
    fleet = watched()
    fleet.nodes["n0-0"].mute_from = "confirm"
    until_stage(fleet, "n0-0", "lost")
    node = fleet.rollout.node("n0-0")
    assert (node.failed, node.back, node.lost_in) == (True, True, "confirming")
