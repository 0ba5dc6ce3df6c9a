"""What a deployment would do, in lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from agent.protocol.deployments import DeployPlan, PlannedWorkload


def plan_lines(plan: DeployPlan) -> Iterator[str]:
    """One line after the other; what is lost and what is wrong stands last, to be seen."""
    for workload in plan.workloads:
        yield from _lines(workload)


def _lines(workload: PlannedWorkload) -> Iterator[str]:
    strategy = f", {workload.strategy}: {workload.strategy_why}" if workload.strategy else ""
    yield f"{workload.name}: {workload.action}{strategy}"
    for change in workload.changes:
        yield f"  {change}"
    for number, step in enumerate(workload.steps, 1):
        yield f"  {number}. {step}"
    for warning in workload.warnings:
        yield f"  note: {warning}"
    for lost in workload.lost:
        yield f"  LOST: {lost}"
    for problem in workload.problems:
        yield f"  CANNOT: {problem.detail}"
        if problem.hint:
            yield f"    hint: {problem.hint}"
