"""Values that a snapshot withheld, as they are given, or as the node will fill them in itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.protocol.decoding import from_plain
from agent.protocol.problems import Problem, ProblemError
from agent.protocol.snapshots import WITHHELD, AppliedWorkload, NodeSnapshot
from agent.protocol.workloads import Workload
from agent.rules.withheld import lacking, put_at, put_back

# By workload and place ("command.2", "environment.TOKEN"), or name of a variable ("TOKEN").
Given = Mapping[tuple[str, str], str]
_OWN = "<the node's own>"  # stands for a text that only the node knows
_ENVIRONMENT = "environment."


def with_values(workload: Workload, given: Given, now: NodeSnapshot) -> tuple[Workload, list[str]]:
    """The workload with the values given, and the places that the node fills in.

    Raises:
        ProblemError: `snapshot.withheld`: the node would not know what to fill in.
    """
    plain = msgspec.to_builtins(workload)
    for (name, place), text in given.items():
        if name == workload.name:
            plain = _given(plain, place, text)
    places = lacking(plain)
    filled = plain
    for known in _known(workload.name, now):
        filled = put_back(filled, known)
    unknown = lacking(filled)
    if unknown:
        raise ProblemError(
            "snapshot.withheld",
            f"{workload.name}: the snapshot has no values for {', '.join(unknown)}, and the"
            " node has none either",
            params={"workload": workload.name, "places": unknown},
            hint=f"Give them: --set {workload.name}.PLACE=VALUE, of an environment its NAME; take"
            " snapshots with --with-environment for all that is no secret.",
        )
    return from_plain(plain, Workload), places


def unused(given: Given, then: NodeSnapshot) -> list[Problem]:
    """Values given for what is not there, or is told by the snapshot: they would be lost."""
    return [
        ProblemError(
            "console.usage",
            f"--set {name}.{place}: the snapshot withholds no such value",
            params={"workload": name, "place": place},
            hint="With --check, restore names the places that it has no values for.",
        ).problem()
        for name, place in given
        if not any(each.name == name and _takes(each, place) for each in then.workloads)
    ]


def _takes(recorded: AppliedWorkload, place: str) -> bool:
    if place in recorded.withheld:
        return True
    environment = recorded.workload.environment if recorded.workload is not None else {}
    return place.removeprefix(_ENVIRONMENT) in environment


def _given(plain: Any, place: str, text: str) -> Any:
    found = put_at(plain, place, text)
    name = place.removeprefix(_ENVIRONMENT)
    if found == plain and name in plain.get("environment", {}):
        return {**plain, "environment": {**plain["environment"], name: text}}
    return found


def _known(name: str, now: NodeSnapshot) -> list[Any]:
    """What is known of what the node knows, the newest first."""
    here = next((each.workload for each in now.workloads if each.name == name), None)
    once = {"environment": dict.fromkeys(now.remembered.get(name, ()), _OWN)}
    return [*([_owned(msgspec.to_builtins(here))] if here is not None else []), once]


def _owned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _owned(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_owned(each) for each in value]
    return _OWN if value == WITHHELD else value
