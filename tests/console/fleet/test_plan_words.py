"""A plan in lines: everything that it says, and the worst last."""

from __future__ import annotations

from agent.protocol.deployments import DeployPlan, PlannedWorkload
from agent.protocol.problems import Problem
from console.fleet.plan_words import plan_lines

PROBLEM = Problem(
    code="placement.memory", title="No room", status=409, detail="GPU 1 is full", hint="Take GPU 0."
)


def test_all_of_it_is_told_in_turn() -> None:
    workload = PlannedWorkload(
        name="detector",
        action="replace",
        strategy="stop-then-start",
        strategy_why="both want port 8000",
        steps=["make the new container", "stop the old one"],
        changes=["GPUs: 0 (cdi) becomes GPU-b (cdi)"],
        lost=["a link to a container that is gone"],
        warnings=["it does not run now; it will"],
        problems=[PROBLEM],
    )
    lines = list(plan_lines(DeployPlan(release="pin detector", workloads=[workload])))
    assert [str(line) for line in lines] == [
        "detector: replace, stop-then-start: both want port 8000",
        "  GPUs: 0 (cdi) becomes GPU-b (cdi)",
        "  1. make the new container",
        "  2. stop the old one",
        "  note: it does not run now; it will",
        "  LOST: a link to a container that is gone",
        "  CANNOT: GPU 1 is full",
        "    hint: Take GPU 0.",
    ]
    assert [line.part for line in lines[-3:]] == ["lost", "problem", "hint"]
