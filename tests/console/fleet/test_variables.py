"""Which value a variable has on a node: the more specific one."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.fleet.fleet_file import add_node, load_inventory, parse_inventory, remove_node
from console.fleet.inventory import NodeEntry
from console.fleet.variables import node_variables, own_variables

FLEET = """\
vars:
  "": {TZ: UTC, WHO: all, NAS: none}
  site: {WHO: any-site}
  site=plant-7: {NAS: 10.7.0.2}
  site=plant-7,gpu=t4: {WHO: t4}
  "@cam-8": {WHO: cam-8, NAS: "10.8.0.2"}
nodes:
- name: cam-7
  address: ssh://cam-7
  labels: {site: plant-7, gpu: t4}
  vars: {CAMERA: 10.7.0.21}
- name: cam-8
  address: ssh://cam-8
  labels: {site: plant-7, gpu: t4}
- name: lab
  address: ssh://lab
  vars: {TZ: CET, EMPTY: ""}
"""


def values(text: str) -> dict[str, dict[str, str]]:
    inventory = parse_inventory(text, file="fleet.yaml")
    return {node.name: node_variables(inventory, node) for node in inventory.nodes}


def test_the_more_specific_wins() -> None:
    assert values(FLEET) == {
        "cam-7": {"TZ": "UTC", "WHO": "t4", "NAS": "10.7.0.2", "CAMERA": "10.7.0.21"},
        "cam-8": {"TZ": "UTC", "WHO": "cam-8", "NAS": "10.8.0.2"},
        "lab": {"TZ": "CET", "WHO": "all", "NAS": "none", "EMPTY": ""},
    }


def test_the_order_in_the_file_does_not_matter() -> None:
    head, nodes = FLEET.split("nodes:")
    first, *lines = head.splitlines(keepends=True)
    assert values(first + "".join(reversed(lines)) + "nodes:" + nodes) == values(FLEET)


def test_two_that_are_alike_must_agree() -> None:
    text = FLEET.replace("  site: {WHO", "  gpu=t4: {NAS: other}\n  site: {WHO")
    inventory = parse_inventory(text, file="fleet.yaml")
    cam_7, cam_8, _ = inventory.nodes
    with pytest.raises(ProblemError) as caught:
        node_variables(inventory, cam_7)
    assert caught.value.code == "fleet.variable"
    assert caught.value.params["selectors"] == ["gpu=t4", "site=plant-7"]
    assert "cam-7 has two values for NAS" in caught.value.detail
    assert node_variables(inventory, cam_8)["NAS"] == "10.8.0.2"  # a third one decides
    same = parse_inventory(text.replace("other", "10.7.0.2"), file="fleet.yaml")
    assert node_variables(same, cam_7)["NAS"] == "10.7.0.2"


def test_the_nodes_own_value_settles_it() -> None:
    text = FLEET.replace("  site: {WHO", "  gpu=t4: {NAS: other}\n  site: {WHO")
    text = text.replace("{CAMERA: 10.7.0.21}", "{NAS: own}")
    inventory = parse_inventory(text, file="fleet.yaml")
    assert node_variables(inventory, inventory.nodes[0])["NAS"] == "own"


def test_what_every_node_has() -> None:
    node = NodeEntry(
        name="cam-7", address="unix:///a", labels={"site": "plant-7", "edge/gpu-kind": "t4"}
    )
    assert own_variables(node) == {
        "ROOST_NODE": "cam-7",
        "ROOST_LABEL_SITE": "plant-7",
        "ROOST_LABEL_EDGE_GPU_KIND": "t4",
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("site=plant-7,gpu=t4", "'site=plant-7,,'", 5, "not a requirement"),
        ("TZ: UTC", "1TZ: UTC", 2, "'1TZ' is not a variable's name"),
        ("CAMERA: 10.7.0.21", "a-b: c", 11, "'a-b' is not a variable's name"),
        ("CAMERA: 10.7.0.21", "ROOST_NODE: c", 11, "one of Roost's own"),
        ("CAMERA: 10.7.0.21", "PORT: 8080", 11, "expected `str`, got `int`"),
        ("{TZ: CET", "{TZ: [a]", 17, "expected `str`, got `array`"),
        ("site: {WHO", "site: any\n  x: {WHO", 3, "expected `object`, got `str`"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, line: int, says: str) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_inventory(FLEET.replace(old, new, 1), file="fleet.yaml")
    assert caught.value.code == "settings.invalid"
    assert caught.value.params["line"] == line
    assert says in caught.value.detail
    assert (caught.value.hint == "Put it in quotes.") == ("got `int`" in says)


def test_adding_and_removing_nodes_keeps_them(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FLEET)
    new = NodeEntry(name="new", address="unix:///a", vars={"PORT": "8080", "E": ""})
    add_node(file, new)
    remove_node(file, "cam-8")
    inventory = load_inventory(file)
    assert inventory.vars == parse_inventory(FLEET, file="f").vars
    assert [node.name for node in inventory.nodes] == ["cam-7", "lab", "new"]
    assert inventory.nodes[2] == new
    assert node_variables(inventory, new) == {
        "TZ": "UTC",
        "WHO": "all",
        "NAS": "none",
        "PORT": "8080",
        "E": "",
    }


def test_vars_without_nodes(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text('vars:\n  "": {A: b}\n')
    add_node(file, NodeEntry(name="new", address="unix:///a"))
    assert load_inventory(file).vars == {"": {"A": "b"}}
