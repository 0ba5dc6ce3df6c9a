"""Values that a snapshot withheld, put back from what the node itself knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from agent.protocol.decoding import from_plain
from agent.protocol.deployments import ApplyRequest
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import Workload
from agent.rules.withheld import lacking, put_back


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
        plain = put_back(plain, msgspec.to_builtins(each))
    if places := lacking(plain):
        raise ProblemError(
            "snapshot.withheld",
            f"{workload.name}: {', '.join(places)} was withheld, and the node does not know it",
            params={"workload": workload.name, "places": places},
            hint="Give it: roost snapshot restore ... --set WORKLOAD.PLACE=VALUE",
        )
    return from_plain(plain, Workload)
