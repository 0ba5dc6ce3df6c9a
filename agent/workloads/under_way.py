"""One deployment at a time for each workload."""

from __future__ import annotations

from collections.abc import Iterable

from agent.protocol.problems import ProblemError
from agent.workloads.records import WorkloadStore


def check_free(store: WorkloadStore, workloads: Iterable[str]) -> None:
    """None of them has a deployment that is not over. Raises ProblemError `deployment.*`."""
    names = set(workloads)
    for record in store.deployments():
        held = names & {part.name for part in record.parts}
        if not held or record.shown.state in ("done", "reverted"):
            continue
        stuck = record.shown.state == "stuck"
        raise ProblemError(
            "deployment.stuck" if stuck else "deployment.under_way",
            f"{', '.join(sorted(held))}: deployment {record.shown.id}"
            f" ({record.shown.release}, by {record.shown.owner}) is {record.shown.state}",
            params={"deployment": record.shown.id, "job": record.shown.job},
            hint="Resolve it first: roost workload resolve NODE NAME"
            if stuck
            else "Wait for it, or take it back: roost workload undo NODE NAME",
        )
