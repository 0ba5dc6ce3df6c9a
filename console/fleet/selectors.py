"""Kubernetes label selectors: which nodes are meant. Pure.

site=plant-7,gpu in (t4,a10),!retired     all of these
gpu!=t4      gpu notin (t4)               also nodes without that label
gpu          !gpu                         has the label, has it not
@cam-7,@cam-8                             these nodes by name
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry

_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?"
_REQUIREMENT = re.compile(
    rf"\s*(?:@(?P<name>{_WORD})"
    rf"|!\s*(?P<missing>{_WORD})"
    rf"|(?P<set_key>{_WORD})\s+(?P<set_way>in|notin)\s*\((?P<values>[^()]*)\)"
    rf"|(?P<key>{_WORD})\s*(?P<way>==|=|!=)\s*(?P<value>{_WORD}|)"
    rf"|(?P<present>{_WORD}))\s*(?:,|$)"
)


class Requirement(NamedTuple):
    """One part of a selector. `values` is empty where only the label's presence counts."""

    key: str
    way: Literal["in", "notin", "present", "missing"]
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        if self.way == "present":
            return self.key in labels
        if self.way == "missing":
            return self.key not in labels
        return (labels.get(self.key) in self.values) == (self.way == "in")


class Selector(NamedTuple):
    """All requirements must hold, and the name must be one of `names`, if there are any."""

    requirements: tuple[Requirement, ...] = ()
    names: frozenset[str] = frozenset()

    def matches(self, name: str, labels: Mapping[str, str]) -> bool:
        return (not self.names or name in self.names) and all(
            requirement.holds(labels) for requirement in self.requirements
        )


def parse_selector(text: str) -> Selector:
    """Read a selector; an empty one means all nodes.

    Raises:
        ProblemError: `fleet.selector`.
    """
    requirements: list[Requirement] = []
    names: set[str] = set()
    position, wants_more = 0, False
    while position < len(text.rstrip()) or wants_more:
        match = _REQUIREMENT.match(text, position)
        if not match:
            raise ProblemError(
                "fleet.selector",
                f"{text!r}: {text[position:].strip()[:80]!r} is not a requirement",
                params={"selector": text, "position": position},
                hint="Like this: site=plant-7,gpu in (t4,a10),!retired or @name.",
            )
        if match["name"]:
            names.add(match["name"])
        else:
            requirements.append(_requirement(match, text))
        position, wants_more = match.end(), match[0].endswith(",")
    return Selector(tuple(requirements), frozenset(names))


def check_selector(selector: Selector, nodes: Collection[NodeEntry]) -> None:
    """See that every label and name in it is known: a slip must not select all, or none.

    Raises:
        ProblemError: `fleet.label_unknown` or `fleet.node_unknown`, with the nearest.
    """
    for name in sorted(selector.names - {node.name for node in nodes}):
        raise unknown_node(name, nodes)
    known = sorted({label for node in nodes for label in node.labels})
    for requirement in selector.requirements:
        if requirement.key not in known:
            near = difflib.get_close_matches(requirement.key, known, n=1, cutoff=0.5)
            raise ProblemError(
                "fleet.label_unknown",
                f"no node has the label {requirement.key!r}",
                params={"label": requirement.key, "nearest": near[0] if near else None},
                hint=_nearest(near, known, "Labels here", "Give nodes labels in fleet.yaml."),
            )


def select(text: str, nodes: Sequence[NodeEntry]) -> list[NodeEntry]:
    """The nodes that a selector means, in the fleet's order; maybe none.

    Raises:
        ProblemError: `fleet.selector`, `fleet.label_unknown`, `fleet.node_unknown`.
    """
    selector = parse_selector(text)
    check_selector(selector, nodes)
    return [node for node in nodes if selector.matches(node.name, node.labels)]


def unknown_node(name: str, nodes: Iterable[NodeEntry]) -> ProblemError:
    """`fleet.node_unknown`, with the nearest name."""
    known = [node.name for node in nodes]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return ProblemError(
        "fleet.node_unknown",
        f"there is no node {name!r}",
        params={"node": name, "nearest": near[0] if near else None},
        hint=_nearest(near, [], "", "See the names: roost node ls"),
    )


def _requirement(match: re.Match[str], text: str) -> Requirement:
    if match["missing"]:
        return Requirement(match["missing"], "missing")
    if match["present"]:
        return Requirement(match["present"], "present")
    if match["key"]:
        way: Literal["in", "notin"] = "notin" if match["way"] == "!=" else "in"
        return Requirement(match["key"], way, frozenset([match["value"]]))
    values = frozenset(value.strip() for value in match["values"].split(","))
    for value in values:
        if not re.fullmatch(f"{_WORD}|", value):
            raise ProblemError(
                "fleet.selector",
                f"{text!r}: {value!r} is not a label's value",
                params={"selector": text, "value": value},
                hint="Values are letters, digits, dots, dashes and underscores.",
            )
    return Requirement(match["set_key"], "notin" if match["set_way"] == "notin" else "in", values)


def _nearest(near: Sequence[str], known: Sequence[str], here: str, otherwise: str) -> str:
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"{here}: {', '.join(known[:20])}." if known else otherwise
