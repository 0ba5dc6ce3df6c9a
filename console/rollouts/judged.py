"""A look at one node: what the judge says to what the node measured, and what is kept of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from agent.protocol.arms import Arms
from console.rollouts.judging.analysis import Analysis
from console.rollouts.judging.judge import Finding, Judgement, judge
from console.rollouts.judging.looks import NodeLooks
from console.rollouts.record import Judged, Rollout, RolloutNode

# Only what the agent reads of its workloads is other: there is no candidate.
_UNCHANGED = Judgement(
    outcome="pass",
    findings=[Finding(key="nothing", outcome="pass", words="no container is another one")],
    looks=NodeLooks(),
)


def look(
    analysis: Analysis, node: RolloutNode, arms: Arms, before: Judged | None, now: float
) -> Judged:
    """Judge it; the node has the outcome then. `before`: what came of the last look at it."""
    if before is not None and before.deployment != node.deployment:
        before = None
    watched = now - (node.well_since or now)
    # A clock that is set back takes nothing from what was watched.
    soaked = watched if before is None else max(watched, before.soaked)
    looks = NodeLooks() if before is None else before.looks
    if not arms.workloads and arms.unknown is None:
        judgement = _UNCHANGED
    else:
        judgement = judge(analysis, arms, looks, soaked=soaked)
    node.judged, node.judged_why = judgement.outcome, judgement.why
    return Judged(
        deployment=node.deployment,
        at=now,
        soaked=soaked,
        outcome=judgement.outcome,
        findings=judgement.findings,
        looks=judgement.looks,
    )


def untried_words(rollout: Rollout, nodes: Sequence[RolloutNode]) -> str:
    """A wave is over, and has shown nothing."""
    found = Counter(node.stage for node in nodes)
    how = ", ".join(f"{count} {stage}" for stage, count in found.items())
    return (
        f"wave {rollout.wave + 1}: nobody tried it for the others ({how})."
        " Retry, resume without them, or abort"
    )


def undecided_words(nodes: Sequence[RolloutNode]) -> str:
    """What a person is to decide, and between what."""
    open_ones = [node for node in nodes if node.judged != "pass"]
    first = open_ones[0]
    more = f" (and {len(open_ones) - 1} more)" if len(open_ones) > 1 else ""
    why = first.judged_why or "it was not judged"
    return f"{first.name}{more} could not be judged: {why}. Promote the wave, or abort"
