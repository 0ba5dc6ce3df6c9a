"""Values that a snapshot withheld, put back from what the node itself knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.protocol.decoding import from_plain
from agent.protocol.deployments import ApplyRequest
from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import WITHHELD
from agent.protocol.workloads import Workload


def filled(request: ApplyRequest, known: Mapping[str, Workload]) -> ApplyRequest:
    """The request with each withheld text as the workload of that name has it now.

    Raises:
        ProblemError: `snapshot.withheld`: it has none.
    """
    workloads = [_filled(each, known.get(each.name)) for each in request.workloads]
    return msgspec.structs.replace(request, workloads=workloads)


def _filled(workload: Workload, known: Workload | None) -> Workload:
    plain = msgspec.to_builtins(workload)
    values = None if known is None else msgspec.to_builtins(known)
    return from_plain(_put(plain, values, workload.name, ""), Workload)


def _put(value: Any, known: Any, workload: str, place: str) -> Any:
    if isinstance(value, dict):
        there = known if isinstance(known, dict) else {}
        return {
            key: _put(each, there.get(key), workload, f"{place}.{key}")
            for key, each in value.items()
        }
    if isinstance(value, list):
        # Another list may have another order: only the same places of one as long are meant.
        same = isinstance(known, list) and len(known) == len(value)
        return [
            _put(each, known[number] if same else None, workload, f"{place}.{number}")
            for number, each in enumerate(value)
        ]
    if value != WITHHELD:
        return value
    if not isinstance(known, str) or known == WITHHELD:
        raise ProblemError(
            "snapshot.withheld",
            f"{workload}: {place.lstrip('.')} was withheld, and the node does not know it",
            params={"workload": workload, "place": place.lstrip(".")},
            hint="Give it: roost snapshot restore ... --set WORKLOAD.environment.NAME=VALUE",
        )
    return known
