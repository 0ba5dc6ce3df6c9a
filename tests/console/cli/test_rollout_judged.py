"""Rollouts to simulated nodes whose candidates are judged by what the nodes measured of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from console.fleet.inventory import NodeEntry
from tests.console.cli.commands import Done, roost, write_fleet
from tests.simulated import simulator_process

pytestmark = pytest.mark.timeout(60)

ACCURATE = {"exec": {"name": "accuracy", "command": ["score"], "interval": "1s", "at_least": 0.8}}
# Of 500 with 5 % that fail 2 % or fewer fail once in 2,000 times.
ANSWERS = {"error_rate": {"at_most": "2%", "least": 500}}


@pytest.fixture(scope="module")
def entries() -> Iterator[list[NodeEntry]]:
    with simulator_process(2, faults=False) as simulator:
        yield msgspec.convert(msgspec.to_builtins(simulator.nodes.nodes), list[NodeEntry])


class Side:
    """A person with two nodes, which get the release in one wave."""

    def __init__(self, home: Path, entries: list[NodeEntry]) -> None:
        self.home = home
        self.fleet = write_fleet(home / "fleet.yaml", entries)
        self.names = {entry.name for entry in entries}

    def let_out(self, habits: str, *conditions: dict[str, Any], name: str) -> dict[str, Any]:
        """The rollout of such a candidate once it has ended."""
        rollout = {
            "waves": [{"nodes": 2}],
            "soak": "1s",
            "min_healthy": "0s",
            "max_unavailable": 2,
            "analysis": {
                "conditions": list(conditions),
                "replay": [{"workload": name, "port": 8000, "rate": 100}],
            },
        }
        service = {
            "image": "edge/gateway:1.9.0",
            "environment": {"SIMULATE": habits},
            "x-roost": {"soak": "0s"},
        }
        document = {"name": name, "x-roost": {"rollout": rollout}, "services": {name: service}}
        file = self.home / "app.yaml"
        file.write_text(json.dumps(document))
        done = self.roost("rollout", "plan", file, "--to", "simulated", "--json")
        assert done.code == 0, done
        rollout_id = json.loads(done.out)["id"]
        self.roost("rollout", "start", rollout_id, "--yes")
        done = self.roost("rollout", "status", rollout_id, "--json")
        assert done.code in (0, 1), done
        found: dict[str, Any] = json.loads(done.out)
        return found

    def roost(self, *arguments: str | Path) -> Done:
        state = {"ROOST_STATE": str(self.home / "state")}
        return roost(self.home, "--fleet", self.fleet, *arguments, env=state)


@pytest.fixture
def side(tmp_path: Path, entries: list[NodeEntry]) -> Side:
    return Side(tmp_path, entries)


def test_one_that_is_well_is_done(side: Side) -> None:
    found = side.let_out("", ACCURATE, ANSWERS, name="well")
    assert found["state"] == "done", found
    assert {node["name"]: node["stage"] for node in found["nodes"]} == dict.fromkeys(
        side.names, "done"
    )


@pytest.mark.parametrize(("habits", "words"), [("worse", "accuracy"), ("failing", "errors")])
def test_one_that_is_bad_goes_back(side: Side, habits: str, words: str) -> None:
    found = side.let_out(habits, ACCURATE, ANSWERS, name=habits)
    assert found["state"] == "failed", found
    assert {node["stage"] for node in found["nodes"]} <= {"reverted", "skipped"}
    assert {node["judged"] for node in found["nodes"] if node["failed"]} == {"fail"}
    assert words in found["why"], found
