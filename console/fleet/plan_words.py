"""What a deployment and its undo would do, for people: on the command line and on the screens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from agent.protocol.deployments import AT_REST, Deployment, DeployPlan, PlannedWorkload

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
    if workload.engine:
        yield PlanLine("change", "  engine: ", workload.engine)
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


def goes_back_in(deployment: Deployment) -> float | None:
    """Seconds until it goes back by itself, where it waits for somebody's word."""
    at_rest = deployment.state in (*AT_REST, "reverting")
    if at_rest or deployment.confirmed or deployment.options.confirm == "auto":
        return None
    return deployment.lease_seconds_left


def undo_words(workload: str, deployment: Deployment | None, *, can_undo: bool) -> str:
    """What an undo of a workload's newest deployment would do."""
    if deployment is None:
        return "nothing: its newest deployment is not known any more"
    part = next((each for each in deployment.workloads if each.name == workload), None)
    if part is None:
        return "nothing: its newest deployment is not about it"
    if deployment.state == "reverted":
        return "nothing: its newest deployment was taken back"
    if deployment.state == "reverting":
        return "nothing: it is being taken back now"
    if deployment.state == "stuck":
        return "a person is needed first: see `roost workload resolve`"
    if part.stays:
        words = "what was written down of it before counts again; its container is not touched"
    elif part.old is None:
        words = "removes it, for nothing ran before"
    elif can_undo or deployment.state not in AT_REST:
        words = f"container {part.old[:12]}, which is kept, runs again as it was"
    else:
        words = f"container {part.old[:12]} is made again, if it is gone"
    others = [each.name for each in deployment.workloads if each.name != workload]
    return f"{words}; with it go back: {', '.join(others)}" if others else words
