"""Adding and removing nodes keeps what people wrote."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.fleet.fleet_file import parse_inventory
from console.fleet.inventory import Inventory, NodeEntry
from console.fleet.yaml_edit import with_node, without_node

NEW = NodeEntry(name="new", address="ssh://new", labels={"site": "7", "note": "a: b # c"})

STYLES = {
    "indented": """\
# The plant's cameras.
nodes:
  # hall 7
  - name: cam-1   # the old one
    address: ssh://cam-1
    labels: {site: plant-7}

  - address: ssh://cam-2
    name: cam-2
    labels:
      site: plant-7
      # taken from the list of 2024
  # hall 8
  - {name: cam-3, address: "unix:///a"}
# the end
""",
    "flush": "nodes:\n- name: cam-1\n  address: ssh://a\n- name: cam-2\n  address: ssh://b",
    "dash alone": "nodes:\n  -\n    name: a\n    address: ssh://a\n  -\n    name: b\n    address: ssh://b",
    "flow": 'nodes: [{name: a, address: "ssh://a"},\n  {name: b, address: "ssh://b"}]  # short\n',
    "windows": "nodes:\r\n- name: a\r\n  address: ssh://a\r\n- name: b\r\n  address: ssh://b\r\n",
    "document": "---\nnodes:\n  - name: a\n    address: ssh://a\n  - name: b\n    address: ssh://b\n...\n",
    "json": '{"nodes": [{"name": "a", "address": "ssh://a"}]}\n',
    "empty": "",
    "comment only": "# nothing yet",
    "nothing": "nodes:\n# none yet\n",
    "empty list": "nodes: []  # none yet\n",
    "null": "nodes: null\n",
    "tilde with more": "# x\nnodes: ~\n# y\n",
}


def comments(text: str) -> set[str]:
    return set(re.findall("# [a-z0-9 ]+[.]?", text)) - {"# c"}


def nodes_of(text: str) -> list[NodeEntry]:
    return parse_inventory(text, file="f").nodes


@pytest.mark.parametrize("style", STYLES)
def test_adding(style: str) -> None:
    text = STYLES[style]
    after = with_node(text, NEW)
    assert parse_inventory(after, file="f").nodes == [*nodes_of(text), NEW]
    assert comments(text) == comments(after)
    # All that was there is still there, in its order.
    left = iter(after.splitlines())
    if style not in ("json", "flow", "empty list", "null", "tilde with more"):
        assert all(line in left for line in text.splitlines())


@pytest.mark.parametrize("style", [name for name, text in STYLES.items() if "address" in text])
def test_removing_each(style: str) -> None:
    text = STYLES[style]
    nodes = nodes_of(text)
    for index in range(len(nodes)):
        after = without_node(text, index)
        assert parse_inventory(after, file="f").nodes == nodes[:index] + nodes[index + 1 :]
        assert len(after.splitlines()) >= len(text.splitlines()) - 6
        assert comments(text) - comments(after) <= {
            "# the old one",
            "# taken from the list of 2024",
        }


@pytest.mark.parametrize("style", STYLES)
def test_adding_and_removing_all_again(style: str) -> None:
    text = with_node(with_node(STYLES[style], NEW), NodeEntry(name="last", address="ssh://last"))
    while nodes := parse_inventory(text, file="f").nodes:
        text = without_node(text, len(nodes) // 2)
        assert len(parse_inventory(text, file="f").nodes) == len(nodes) - 1
    assert parse_inventory(with_node(text, NEW), file="f").nodes == [NEW]


NAMES = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=30)
ENTRIES = st.lists(
    st.builds(
        NodeEntry,
        name=NAMES,
        address=st.just("ssh://a"),
        labels=st.dictionaries(NAMES, VALUES, max_size=3),
        production=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda entry: entry.name,
)


@given(ENTRIES, st.randoms(use_true_random=False))
def test_any_entries_in_any_order(entries: list[NodeEntry], random: object) -> None:
    text = "# fleet\n"
    for entry in entries:
        text = with_node(text, entry)
    assert parse_inventory(text, file="f") == Inventory(nodes=entries)
    left = list(entries)
    while left:
        index = len(left) // 2
        del left[index]
        text = without_node(text, index)
        assert parse_inventory(text, file="f").nodes == left
    assert text.startswith("# fleet\n")
