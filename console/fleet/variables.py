"""What the variables of workload files are on a node, as fleet.yaml says.

vars:
  "": {TZ: UTC}                      # every node
  site=plant-7: {NAS: 10.7.0.2}      # a selector
nodes:
- name: cam-7
  address: ssh://cam-7
  vars: {CAMERA: 10.7.0.21}          # this node

The more specific wins: a node's own, then a selector with names, then the selector with the most
requirements. Every node has ROOST_NODE, its name, and ROOST_LABEL_SITE for its label "site".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from agent.protocol.problems import ProblemError
from console.fleet.inventory import Inventory, NodeEntry
from console.fleet.selectors import Selector, parse_selector

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OWN = "ROOST_"
_NAMED = 1000  # more than any selector has requirements


def node_variables(inventory: Inventory, node: NodeEntry) -> dict[str, str]:
    """The values for `node`, without those that are Roost's own.

    Raises:
        ProblemError: `fleet.variable` where two selectors alike say different values.
    """
    said: dict[str, list[tuple[int, str, str]]] = {}  # weight, selector and value
    for text, values in inventory.vars.items():
        selector = parse_selector(text)
        if selector.matches(node.name, node.labels):
            for name, value in values.items():
                said.setdefault(name, []).append((_weight(selector), text, value))
    found = {name: _heaviest(node, name, all_of_it) for name, all_of_it in said.items()}
    return found | node.vars


def own_variables(node: NodeEntry) -> dict[str, str]:
    """ROOST_NODE and ROOST_LABEL_...: capitals, and an underscore for what no name may have."""
    labels = {_label(key): value for key, value in sorted(node.labels.items())}
    return {**labels, f"{OWN}NODE": node.name}


def wrong_variables(inventory: Inventory) -> Iterator[tuple[list[str | int], str, str]]:
    """What cannot be a selector or a variable: where in the file, why, and what to do."""
    for text, values in inventory.vars.items():
        try:
            parse_selector(text)
        except ProblemError as problem:
            yield ["vars", text], problem.detail, problem.hint or ""
        for name, why, hint in _wrong_names(values):
            yield ["vars", text, name], why, hint
    for index, node in enumerate(inventory.nodes):
        for name, why, hint in _wrong_names(node.vars):
            yield ["nodes", index, "vars", name], why, hint


def _wrong_names(values: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in values:
        if not NAME.fullmatch(name):
            hint = "Letters, digits and underscores, and no digit first."
            yield name, f"{name[:80]!r} is not a variable's name", hint
        elif name.startswith(OWN):
            hint = "Take a name that does not begin with ROOST_."
            yield name, f"{name} is one of Roost's own", hint


def _heaviest(node: NodeEntry, name: str, said: list[tuple[int, str, str]]) -> str:
    most = max(weight for weight, _, _ in said)
    first, *others = [(text, value) for weight, text, value in said if weight == most]
    for text, value in others:
        if value != first[1] and name not in node.vars:
            raise ProblemError(
                "fleet.variable",
                f"{node.name} has two values for {name}: one of {first[0]!r}, one of {text!r}",
                params={"node": node.name, "variable": name, "selectors": [first[0], text]},
                hint="Make one selector more specific, or say it under the node's own vars.",
            )
    return first[1]


def _weight(selector: Selector) -> int:
    return len(selector.requirements) + (_NAMED if selector.names else 0)


def _label(key: str) -> str:
    return f"{OWN}LABEL_{re.sub('[^A-Z0-9]', '_', key.upper())}"
