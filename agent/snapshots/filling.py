"""Values that a snapshot withheld, put back from what the node itself knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.protocol.decoding import from_plain
from agent.protocol.deployments import ApplyRequest
from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import WITHHELD
from agent.protocol.workloads import Workload


def filled(request: ApplyRequest, known: Mapping[str, Sequence[Workload]]) -> ApplyRequest:
    """The request with each withheld text as the workload of that name has it, or had it last.

    Args:
        known: as workloads were asked for, by name, the newest first.

    Raises:
        ProblemError: `snapshot.withheld`: it never had one.
    """
    workloads = [_filled(each, known.get(each.name, ())) for each in request.workloads]
    return msgspec.structs.replace(request, workloads=workloads)


def _filled(workload: Workload, known: Sequence[Workload]) -> Workload:
    plain = msgspec.to_builtins(workload)
    for each in known:
        plain = _put(plain, msgspec.to_builtins(each))
    if place := _withheld(plain, ""):
        raise ProblemError(
            "snapshot.withheld",
            f"{workload.name}: {place} was withheld, and the node does not know it",
            params={"workload": workload.name, "place": place},
            hint="Give it: roost snapshot restore ... --set WORKLOAD.NAME=VALUE",
        )
    return from_plain(plain, Workload)


def _put(value: Any, known: Any) -> Any:
    if isinstance(value, dict):
        there = known if isinstance(known, dict) else {}
        return {key: _put(each, there.get(key)) for key, each in value.items()}
    if isinstance(value, list):
        # Another list may have another order: only the same places of one as long are meant.
        same = isinstance(known, list) and len(known) == len(value)
        return [_put(each, known[number] if same else None) for number, each in enumerate(value)]
    return known if value == WITHHELD and isinstance(known, str) else value


def _withheld(value: Any, place: str) -> str | None:
    """Where the first text is that still lacks; None: there is none."""
    if isinstance(value, dict):
        items = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list):
        items = [(str(number), each) for number, each in enumerate(value)]
    else:
        return place if value == WITHHELD else None
    found = (_withheld(each, f"{place}.{key}" if place else key) for key, each in items)
    return next((each for each in found if each), None)
