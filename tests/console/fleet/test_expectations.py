"""What fleet.yaml expects of a node: read, checked, the more specific first, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.fleet.expectations import Expectation, expectations
from console.fleet.fleet_file import add_node, load_inventory, parse_inventory, remove_node
from console.fleet.inventory import NodeEntry

FLEET = """\
# what the plants agreed on
expect:
  "": {persistence: true, runtime: ">=20.10"}
  gpu=t4: {driver: ">=535,<560"}   # not 560: see the ticket
  gpu=t4,site=lab: {driver: null, persistence: false}
nodes:
- name: cam-7
  address: ssh://cam-7
  labels: {gpu: t4}
- name: cam-8
  address: ssh://cam-8
  labels: {gpu: t4}
  expect: {driver: "=535.183.01", gpu: [Tesla T4, A10]}
- name: lab
  address: ssh://lab
  labels: {gpu: t4, site: lab}
"""


def expected(text: str, node: int) -> list[Expectation]:
    inventory = parse_inventory(text, file="fleet.yaml")
    return expectations(inventory, inventory.nodes[node])


def problem(old: str, new: str) -> ProblemError:
    assert old in FLEET
    with pytest.raises(ProblemError) as caught:
        parse_inventory(FLEET.replace(old, new), file="fleet.yaml")
    return caught.value


def test_the_more_specific_counts_and_null_expects_nothing() -> None:
    assert expected(FLEET, 0) == [
        Expectation("driver", ">=535,<560", "gpu=t4"),
        Expectation("runtime", ">=20.10", ""),
        Expectation("persistence", value=True, said_by=""),
    ]
    assert expected(FLEET, 1)[0] == Expectation("driver", "=535.183.01", "@cam-8")
    assert expected(FLEET, 1)[2] == Expectation("gpu", ["Tesla T4", "A10"], "@cam-8")
    assert expected(FLEET, 2) == [
        Expectation("runtime", ">=20.10", ""),
        Expectation("persistence", value=False, said_by="gpu=t4,site=lab"),
    ]


def test_two_that_are_alike_must_agree() -> None:
    text = FLEET.replace("nodes:", "  site: {driver: '>=600'}\nnodes:")
    inventory = parse_inventory(text.replace("driver: null, ", ""), file="fleet.yaml")
    with pytest.raises(ProblemError) as caught:
        expectations(inventory, NodeEntry(name="x", address="", labels={"gpu": "t4", "site": "y"}))
    assert caught.value.code == "fleet.expect"
    assert expectations(inventory, inventory.nodes[1])[0].said_by == "@cam-8"


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "said"),
    [
        ("runtime:", "runtim:", "settings.unknown_key", 3, "'runtime'"),
        ("driver: null", "drivr: null", "settings.unknown_key", 5, "'driver'"),
        ('driver: "=535', 'drivers: "=535', "settings.unknown_key", 13, "'driver'"),
        ('driver: ">=535,<560"', "driver: 535", "settings.invalid", 4, "quotes"),
        ('driver: ">=535,<560"', 'driver: "535"', "settings.invalid", 4, ">=535,<560"),
        ("persistence: false", "persistence: maybe", "settings.invalid", 5, "that line"),
        ("gpu: [Tesla T4, A10]", "gpus: -1", "settings.invalid", 13, "0 or more"),
        ("gpu=t4:", "gpu=t4 or a10:", "settings.invalid", 4, "site=plant-7"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    old: str, new: str, code: str, line: int, said: str
) -> None:
    found = problem(old, new)
    assert (found.code, found.params["line"]) == (code, line), found.detail
    assert said in (found.hint or "")


def test_changing_the_nodes_keeps_it_with_its_comments(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FLEET)
    add_node(file, NodeEntry(name="new", address="ssh://new"))
    assert file.read_text().startswith(FLEET)
    remove_node(file, "cam-8")
    assert "# not 560: see the ticket" in file.read_text()
    assert load_inventory(file).expect == parse_inventory(FLEET, file="").expect
