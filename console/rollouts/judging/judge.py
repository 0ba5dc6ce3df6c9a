"""Judges one node's candidate: pure, from what the node measured and what was seen before."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.protocol.arms import Arms
from console.rollouts.judging.analysis import Analysis, Condition
from console.rollouts.judging.looks import ConditionLooks, NodeLooks

# fail: it is worse, or out of bounds. error: what measures it broke. inconclusive: waiting does not
# help, a person is to decide. wait: more data would. pass: all that was asked for holds so far.
Outcome = Literal["pass", "fail", "inconclusive", "error", "wait"]
# The first of these that a condition has is the whole judgement's.
_ORDER: tuple[Outcome, ...] = ("fail", "error", "inconclusive", "wait")


class Finding(msgspec.Struct, kw_only=True, frozen=True):
    """What became of one condition on one workload."""

    key: str  # "workload/condition"; the same at each look
    outcome: Outcome
    words: str  # what was judged, and why this came of it
    candidate: float | None = None  # the figure, in its own unit; None: see `words`
    stable: float | None = None
    unit: str = ""  # "s", "bytes", "%", "°C", "" (a count, or a number of its own)
    samples: int = 0  # requests or readings of the candidate's that were judged
    needs: int = 0  # how many more it takes until it can pass
    dry_run: bool = False


class Judgement(msgspec.Struct, kw_only=True, frozen=True):
    """What came of a look at one node.

    `fail`: the node goes back at once. `pass` says nothing of time: confirm when it has soaked, too.
    """

    outcome: Outcome
    findings: list[Finding]
    looks: NodeLooks  # for the next look

    @property
    def why(self) -> str:
        """One line: the words of the finding that decided."""
        decided = [found for found in self.findings if found.outcome == self.outcome]
        return next((found.words for found in decided if not found.dry_run), "")


def judge(analysis: Analysis, arms: Arms, looks: NodeLooks, *, soaked: float) -> Judgement:
    """One look. Asked again with nothing new it says the same.

    Args:
        analysis: of the release.
        arms: as the node tells them now.
        looks: of the last judgement of this deployment on this node; empty at first. They also
            hold what was spent on looks so far: who loses them begins with another 1 % of false
            alarms.
        soaked: seconds since the candidate is watched; it only ever grows, over weights and over
            restarts of the runner.
    """
    findings: list[Finding] = []
    kept: dict[str, ConditionLooks] = {}
    for workload in arms.workloads:
        for condition in analysis.conditions:
            if condition.of != "error_rate" or condition.at_most is None:
                continue
            key = f"{workload.name}/{condition.of}"
            before = looks.conditions.get(key, ConditionLooks())
            figures = workload.candidate.requests
            count = 0 if figures is None else figures.requests
            rate = None if figures is None or not count else figures.errors / count
            kept[key] = before
            findings.append(_bound(condition, key, rate, count))
    outcome = next(
        (
            each
            for each in _ORDER
            if any(found.outcome == each and not found.dry_run for found in findings)
        ),
        "pass",
    )
    return Judgement(outcome=outcome, findings=findings, looks=NodeLooks(conditions=kept))


def _bound(condition: Condition, key: str, rate: float | None, count: int) -> Finding:
    needs = max(0, condition.least - count)
    outcome: Outcome = "pass"
    if rate is None or needs:
        outcome = "wait"
    elif rate > (condition.at_most or 0.0):
        outcome = "fail"
    return Finding(
        key=key,
        outcome=outcome,
        words=f"{key}: {rate} of {count}",
        candidate=rate,
        samples=count,
        needs=needs,
        dry_run=condition.dry_run,
    )
