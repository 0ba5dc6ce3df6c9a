"""What a deployment would do, in lines for people: on the command line and on the screens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from agent.protocol.deployments import DeployPlan, PlannedWorkload

PlanPart = Literal["workload", "change", "step", "note", "lost", "problem", "hint"]


class PlanLine(NamedTuple):
    """`label` stands before the text: "  2. ", "  LOST: "."""

    part: PlanPart
    label: str
    text: str

    def __str__(self) -> str:
        return f"{self.label}{self.text}"


def plan_lines(plan: DeployPlan) -> Iterator[PlanLine]:
    """One line after the other; what is lost and what is wrong stands last, to be seen."""
    for workload in plan.workloads:
        yield from _lines(workload)


def _lines(workload: PlannedWorkload) -> Iterator[PlanLine]:
    strategy = f", {workload.strategy}: {workload.strategy_why}" if workload.strategy else ""
    yield PlanLine("workload", f"{workload.name}: ", f"{workload.action}{strategy}")
    if workload.image_why:
        yield PlanLine("change", "  image: ", workload.image_why)
    for change in workload.changes:
        yield PlanLine("change", "  ", change)
    for number, step in enumerate(workload.steps, 1):
        yield PlanLine("step", f"  {number}. ", step)
    if workload.downtime:
        yield PlanLine("change", "  downtime: ", workload.downtime)
    if workload.if_it_fails:
        yield PlanLine("change", "  if it fails: ", workload.if_it_fails)
    for warning in workload.warnings:
        yield PlanLine("note", "  note: ", warning)
    for lost in workload.lost:
        yield PlanLine("lost", "  LOST: ", lost)
    for problem in workload.problems:
        yield PlanLine("problem", "  CANNOT: ", problem.detail)
        if problem.hint:
            yield PlanLine("hint", "    hint: ", problem.hint)
