"""Which facts a node shall have, as fleet.yaml says.

expect:
  "": {persistence: true}                               # every node
  gpu=t4: {driver: ">=535,<560", runtime: ">=20.10"}    # a selector
nodes:
- name: cam-7
  address: ssh://cam-7
  expect: {driver: "=535.183.01"}                       # this node

The more specific wins, as with variables. `driver: null` expects nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from agent.protocol.problems import ProblemError
from agent.rules.constraints import is_constraint
from console.fleet.by_selector import Wrong, most_specific, wrong_in
from console.fleet.inventory import Expected, Inventory, NodeEntry

Value = str | list[str] | bool | int
# Those that are written as constraints.
VERSIONS = frozenset(
    {"driver", "cuda", "runtime", "toolkit", "agent", "os_version", "kernel", "l4t"}
)
FACTS = Expected.__struct_fields__


class Expectation(NamedTuple):
    """One fact, what it shall be, and where that is said: "gpu=t4", "" (every node), "@cam-7"."""

    fact: str
    value: Value
    said_by: str


def expectations(inventory: Inventory, node: NodeEntry) -> list[Expectation]:
    """What `node` shall have, in the order of `Expected`.

    Raises:
        ProblemError: `fleet.expect` where two selectors alike say different things.
    """
    own = _said(node.expect)
    others = {
        text: {fact: value for fact, value in _said(expected).items() if fact not in own}
        for text, expected in inventory.expect.items()
    }

    def clash(fact: str, first: str, second: str) -> ProblemError:
        return ProblemError(
            "fleet.expect",
            f"{node.name}: {first!r} and {second!r} expect different things of {fact}",
            params={"node": node.name, "fact": fact, "selectors": [first, second]},
            hint="Make one selector more specific, or say it under the node's own expect.",
        )

    found = most_specific(others, node, clash)
    found |= {fact: (f"@{node.name}", value) for fact, value in own.items()}
    return [
        Expectation(fact, found[fact][1], found[fact][0])
        for fact in FACTS
        if fact in found and found[fact][1] is not None
    ]


def wrong_expectations(inventory: Inventory) -> Wrong:
    """What cannot be looked for."""
    own = (node.expect for node in inventory.nodes)
    return wrong_in("expect", inventory.expect, own, _wrong)


def _wrong(expected: Expected | None) -> Iterator[tuple[str, str, str]]:
    for fact, value in _said(expected).items():
        if fact in VERSIONS and isinstance(value, str) and not is_constraint(value):
            hint = 'Like this: ">=535,<560", or "=535.183.01".'
            yield fact, f"{value[:80]!r} is no constraint of a version", hint
        elif fact == "gpus" and isinstance(value, int) and value < 0:
            yield fact, "there cannot be fewer than no GPUs", "0 or more."


def _said(expected: Expected | None) -> dict[str, Any]:
    values = {} if expected is None else {fact: getattr(expected, fact) for fact in FACTS}
    return {fact: value for fact, value in values.items() if value is not msgspec.UNSET}
