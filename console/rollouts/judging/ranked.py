"""The latency as a whole, by Mann-Whitney's test, at looks that are planned by sample counts.

A look is taken when the arm with fewer answers in this window has 100, 200, 400, ... of them. The
k-th look on a node may have 1/(k (k + 1)) of the condition's false alarms; these add up to all of
them, so whatever the looks have to do with each other, all together have no more (Boole).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.protocol.arms import WorkloadArms
from console.rollouts.judging.analysis import Condition
from console.rollouts.judging.histograms import Histogram, quantile_seconds
from console.rollouts.judging.looked import Looked, Pair, State, pairs_of
from console.rollouts.judging.looks import FIRST_LOOK, ConditionLooks, RankLooks
from console.rollouts.judging.ranks import mann_whitney
from console.rollouts.judging.words import count, figure


def look(
    condition: Condition,
    workload: WorkloadArms,
    looks: ConditionLooks,
    *,
    false_alarms: float,
    counts: bool = True,
) -> Looked:
    """One look; the arguments are those of `tested.look`."""
    pairs = pairs_of(condition, workload, looks, counts=counts)
    if isinstance(pairs, Looked):
        return pairs
    ranks = looks.ranks
    if looks.window != workload.window:
        looks = msgspec.structs.replace(looks, warm={})
        ranks = RankLooks(taken=ranks.taken, z=ranks.z, delta=ranks.delta)
    added = [(ours.latency, theirs.latency) for ours, theirs in pairs.values()]
    candidate = sum(sum(ours.values()) for ours, _ in added)
    stable = sum(sum(theirs.values()) for _, theirs in added)
    fewer, worse = min(candidate, stable), False
    if fewer >= ranks.next_at:
        ranks, worse = _taken(condition, added, ranks, fewer, false_alarms)
    # What was seen in a window before stays seen, where this one has no stable arm any more.
    most = fewer >= min(looks.candidate, looks.stable)
    looks = msgspec.structs.replace(
        looks,
        window=workload.window,
        ranks=ranks,
        broken=0,
        candidate=candidate if most else looks.candidate,
        stable=stable if most else looks.stable,
    )
    return _told(condition, looks, next(iter(pairs.values())), worse=worse)


def _taken(
    condition: Condition,
    added: Sequence[tuple[Histogram, Histogram]],
    ranks: RankLooks,
    fewer: int,
    false_alarms: float,
) -> tuple[RankLooks, bool]:
    taken, next_at = ranks.taken + 1, ranks.next_at
    while next_at <= fewer:
        next_at *= 2
    seen = mann_whitney(added)
    if seen is None:  # all answers took the same time
        return RankLooks(taken, next_at, 0.0, 0.0), False
    worse = seen.chance <= false_alarms / (taken * (taken + 1)) and seen.delta > (
        condition.worse_by or 0.0
    )
    return RankLooks(taken, next_at, seen.z, seen.delta), worse


def _told(condition: Condition, looks: ConditionLooks, pair: Pair, *, worse: bool) -> Looked:
    samples = min(looks.candidate, looks.stable)
    ours, theirs = (quantile_seconds(figures.latency, 0.5) for figures in pair)
    state: State = "holds"
    if worse:
        state = "worse"
    elif not looks.ranks.taken or samples < condition.least:
        state = "few"
    words = f"median {figure(ours, 's')}, stable {figure(theirs, 's')}"
    words += f", of {looks.candidate:,} and {count(looks.stable, 'answer')}"
    if looks.ranks.delta is not None:
        share = (1 + looks.ranks.delta) / 2
        words += f"; one of it is slower than one of stable {100 * share:.0f} times of 100"
        words += f" (delta {looks.ranks.delta:.2f}, {condition.worse_by or 0:g} may be)"
    return Looked(
        looks=looks,
        state=state,
        words=f"{words}; surely slower" if worse else words,
        candidate=ours,
        stable=theirs,
        samples=samples,
        needs=max(0, max(condition.least, FIRST_LOOK) - samples),
    )
