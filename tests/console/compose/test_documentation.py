"""docs/workload-files.md: its examples work, and it names every key that is read."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from agent.protocol.workloads import Workload
from console.compose.compose_file import NodeValues, parse_compose, workloads_for
from console.compose.supported import READ
from console.fleet.fleet_file import parse_inventory
from console.fleet.variables import node_variables, own_variables
from tests.console.compose.files import FILE, service

TEXT = (Path(__file__).parents[3] / "docs" / "workload-files.md").read_text(encoding="utf-8")
FLEET, COMPOSE = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_examples_work_together() -> None:
    inventory = parse_inventory(FLEET, file="fleet.yaml")
    (node,) = inventory.nodes
    variables = {**node_variables(inventory, node), **own_variables(node)}
    assert variables["ROOST_LABEL_SITE"] == "plant-7"
    found = workloads_for(parse_compose(COMPOSE, path=FILE), NodeValues(node.name, variables))
    assert found.problems == []
    assert found.workloads[0].environment == {
        "CAMERA": "rtsp://10.7.0.21:554/stream",
        "TZ": "UTC",
    }


def test_every_key_that_is_read_is_named() -> None:
    assert {key for key in READ if f"`{key}`" not in TEXT} == set()


def test_the_defaults_are_those_of_the_wire() -> None:
    lines = (line.strip("|\n").split("|") for line in TEXT.splitlines() if line.startswith("| `"))
    rows = {key.strip(" `"): otherwise.strip(" `") for key, _, otherwise in lines}
    said = service(f"x-roost: {{soak: {rows['soak']}, start_deadline: {rows['start_deadline']}}}")
    plain = Workload(name="app", image="x")
    assert (said.soak, said.start_deadline) == (plain.soak, plain.start_deadline)
    request = service("x-roost: {gpu: {}}").gpu
    assert request is not None
    given = msgspec.to_builtins(request)
    for key in ("count", "exclusive", "on_exceeded", "on_lost", "verify"):
        assert str(given[key]).lower() == rows[f"gpu.{key}"]
    assert given["select"] in rows["gpu.select"]
