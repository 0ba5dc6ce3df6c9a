"""Judges one node's candidate: pure, from what the node measured and what was seen before."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.protocol.arms import Arms, WorkloadArms
from console.rollouts.judging import counters, ranked, readings, tested
from console.rollouts.judging.analysis import Analysis, Condition
from console.rollouts.judging.looked import Looked
from console.rollouts.judging.looks import ConditionLooks, NodeLooks, Point, with_point
from console.rollouts.judging.words import UNITS, key_of, name_of, reason
from console.text import age

# fail: it is worse, or out of bounds. error: what measures it broke. inconclusive: waiting does not
# help, a person is to decide. wait: more data would. pass: all that was asked for holds so far.
Outcome = Literal["pass", "fail", "inconclusive", "error", "wait"]
# The first of these that a condition has is the whole judgement's.
_ORDER: tuple[Outcome, ...] = ("fail", "error", "inconclusive", "wait")
# What cannot be measured in the first moments may be about to be.
SETTLES_SECONDS = 15.0
_NOTHING = "nothing"


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

    @property
    def line(self) -> str:
        """`pass: web: p99 48 ms, stable 48 ms, ...`"""
        shown = f"{self.outcome}, only shown" if self.dry_run else self.outcome
        return f"{shown}: {self.said}"

    @property
    def said(self) -> str:
        """Its words, with the workload that they are about."""
        workload, slash, _ = self.key.partition("/")
        return f"{workload}: {self.words}" if slash else self.words


class Judgement(msgspec.Struct, kw_only=True, frozen=True):
    """What came of a look at one node.

    `fail`: the node goes back at once. `pass` says nothing of time: what is confirmed has soaked.
    """

    outcome: Outcome
    findings: list[Finding]
    looks: NodeLooks  # for the next look

    @property
    def why(self) -> str:
        """One line: the words of the first finding that decided."""
        decided = (
            found.said
            for found in self.findings
            if found.outcome == self.outcome and not found.dry_run
        )
        return next(decided, "")


def judge(analysis: Analysis, arms: Arms, looks: NodeLooks, *, soaked: float) -> Judgement:
    """One look. Asked again with nothing new it says the same.

    Args:
        analysis: of the release.
        arms: as the node tells them now.
        looks: of the last judgement of this deployment on this node; empty at first. They hold
            what was seen, so who loses them begins anew, with as many false alarms once more.
        soaked: seconds since the candidate is watched; it only ever grows, over weights and over
            restarts of the runner.
    """
    if not arms.workloads and analysis.conditions:
        return _nothing(analysis, arms, looks, soaked)
    asked = [
        (condition, workload)
        for workload in arms.workloads
        for condition in analysis.conditions
        if _applies(condition, workload)
    ]
    tests = sum(condition.tested for condition, _ in asked)
    findings: list[Finding] = []
    kept = dict(looks.conditions)
    kept.pop(_NOTHING, None)
    for condition, workload in asked:
        key = key_of(workload.name, condition)
        before = kept.get(key, ConditionLooks())
        finding, kept[key] = _judged(
            analysis, condition, workload, before, soaked, analysis.false_alarms / max(1, tests)
        )
        findings.append(finding)
    outcomes = {found.outcome for found in findings if not found.dry_run}
    return Judgement(
        outcome=next((each for each in _ORDER if each in outcomes), "pass"),
        findings=findings,
        looks=NodeLooks(conditions=kept),
    )


def _applies(condition: Condition, workload: WorkloadArms) -> bool:
    if condition.workload not in (None, workload.name):
        return False
    if condition.where != "weighted":
        return True
    return workload.weight is not None and workload.stable.container is not None


def _judged(
    analysis: Analysis,
    condition: Condition,
    workload: WorkloadArms,
    before: ConditionLooks,
    soaked: float,
    false_alarms: float,
) -> tuple[Finding, ConditionLooks]:
    delay = analysis.initial_delay if condition.initial_delay is None else condition.initial_delay
    counts = soaked >= delay
    if counts and before.since is None:
        before = msgspec.structs.replace(before, since=soaked)
    looked = _looked(condition, workload, before, false_alarms, counts=counts)
    outcome, words, looks = _outcome(analysis, condition, looked, soaked)
    if not counts:
        outcome, words = "wait", f"{looked.words}; it counts after the first {age(delay)}"
        looks = msgspec.structs.replace(looks, in_doubt=None)
    if before.failed:
        outcome, words = "fail", before.failed
    elif outcome == "fail":
        looks = msgspec.structs.replace(looks, failed=words)
    if looked.candidate is not None:
        point = Point(soaked, looked.candidate, looked.stable)
        looks = msgspec.structs.replace(looks, history=with_point(looks.history, point))
    finding = Finding(
        key=key_of(workload.name, condition),
        outcome=outcome,
        words=words,
        candidate=looked.candidate,
        stable=looked.stable,
        unit="s" if condition.of == "distribution" else UNITS.get(condition.of, ""),
        samples=looked.samples,
        needs=looked.needs,
        dry_run=condition.dry_run,
    )
    return finding, looks


def _looked(
    condition: Condition,
    workload: WorkloadArms,
    looks: ConditionLooks,
    false_alarms: float,
    *,
    counts: bool,
) -> Looked:
    if condition.of in ("error_rate", "latency"):
        return tested.look(condition, workload, looks, false_alarms=false_alarms, counts=counts)
    if condition.of == "distribution":
        return ranked.look(condition, workload, looks, false_alarms=false_alarms, counts=counts)
    if condition.of in ("xids", "restarts"):
        return counters.look(condition, workload, looks, counts=counts)
    return readings.look(condition, workload, looks, counts=counts)


def _outcome(
    analysis: Analysis, condition: Condition, looked: Looked, soaked: float
) -> tuple[Outcome, str, ConditionLooks]:
    """What the analysis makes of it."""
    looks, words = looked.looks, looked.words
    if looked.state in ("holds", "off", "worse"):
        looks = msgspec.structs.replace(looks, in_doubt=None)
        return "fail" if looked.state == "worse" else "pass", words, looks
    since = soaked if looks.in_doubt is None else looks.in_doubt
    looks = msgspec.structs.replace(looks, in_doubt=since)
    waited = soaked - since
    if looked.state == "broken":
        if looks.broken > analysis.errors:
            return "error", f"{words}; {looks.broken} times in a row", looks
        return "wait", words, looks
    if looked.state == "blind":
        if condition.where == "measurable":
            return "pass", f"left out: {words}", looks
        if waited < SETTLES_SECONDS:
            return "wait", words, looks
        return "inconclusive", f"{name_of(condition)} cannot be judged: {words}", looks
    if looked.state == "doubt":
        return "wait" if waited < analysis.patience else "inconclusive", words, looks
    words += _wanted(looked, soaked)
    policy = condition.no_data or analysis.no_data
    if waited < analysis.patience or policy == "wait":
        return "wait", words, looks
    ends: dict[str, Outcome] = {"pass": "pass", "fail": "fail"}
    return ends.get(policy, "inconclusive"), f"{words}; too little after {age(waited)}", looks


def _wanted(looked: Looked, soaked: float) -> str:
    """How much is missing, and how long that takes."""
    if not looked.needs:
        return ""
    since = looked.looks.since
    pace = looked.samples / (soaked - since) if since is not None and soaked > since else 0.0
    lasts = f", about {age(looked.needs / pace)}" if pace else ""
    return f"; {looked.needs:,} more are needed{lasts}"


def _nothing(analysis: Analysis, arms: Arms, looks: NodeLooks, soaked: float) -> Judgement:
    """The node measures no workload, yet or at all."""
    before = looks.conditions.get(_NOTHING, ConditionLooks(since=soaked))
    words = reason(arms.unknown or "it does not say why")
    late = soaked - (before.since or 0.0) >= analysis.patience
    outcome: Outcome = "inconclusive" if late else "wait"
    finding = Finding(key=_NOTHING, outcome=outcome, words=f"nothing is measured: {words}")
    kept = {**looks.conditions, _NOTHING: before}
    return Judgement(outcome=outcome, findings=[finding], looks=NodeLooks(conditions=kept))
