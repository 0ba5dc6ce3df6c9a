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
from console.fleet.by_selector import Wrong, most_specific, wrong_in
from console.fleet.inventory import Inventory, NodeEntry

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OWN = "ROOST_"


def node_variables(inventory: Inventory, node: NodeEntry) -> dict[str, str]:
    """The values for `node`, without those that are Roost's own.

    Raises:
        ProblemError: `fleet.variable` where two selectors alike say different values.
    """
    others = {
        text: {name: value for name, value in values.items() if name not in node.vars}
        for text, values in inventory.vars.items()
    }

    def clash(name: str, first: str, second: str) -> ProblemError:
        return ProblemError(
            "fleet.variable",
            f"{node.name} has two values for {name}: one of {first!r}, one of {second!r}",
            params={"node": node.name, "variable": name, "selectors": [first, second]},
            hint="Make one selector more specific, or say it under the node's own vars.",
        )

    found = {name: value for name, (_, value) in most_specific(others, node, clash).items()}
    return found | node.vars


def own_variables(node: NodeEntry) -> dict[str, str]:
    """ROOST_NODE and ROOST_LABEL_...: capitals, and an underscore for what no name may have."""
    labels = {_label(key): value for key, value in sorted(node.labels.items())}
    return {**labels, f"{OWN}NODE": node.name}


def wrong_variables(inventory: Inventory) -> Wrong:
    """What cannot be a selector or a variable."""
    return wrong_in("vars", inventory.vars, (node.vars for node in inventory.nodes), _wrong_names)


def _wrong_names(values: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in values:
        if not NAME.fullmatch(name):
            hint = "Letters, digits and underscores, and no digit first."
            yield name, f"{name[:80]!r} is not a variable's name", hint
        elif name.startswith(OWN):
            hint = "Take a name that does not begin with ROOST_."
            yield name, f"{name} is one of Roost's own", hint


def _label(key: str) -> str:
    return f"{OWN}LABEL_{re.sub('[^A-Z0-9]', '_', key.upper())}"
