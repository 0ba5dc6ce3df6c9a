"""Error rates and quantiles of the latency, tested at every look: see `evidence`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from agent.protocol.arms import RequestFigures, WorkloadArms, bucket_of, seconds_of
from console.rollouts.judging.analysis import Condition, Of
from console.rollouts.judging.evidence import Evidence, Trials
from console.rollouts.judging.histograms import (
    buckets_of,
    over,
    plus,
    quantile_bucket,
    quantile_seconds,
)
from console.rollouts.judging.looked import Looked, Pair, State, broken, pairs_of
from console.rollouts.judging.looks import ConditionLooks, Counts, SortLooks
from console.rollouts.judging.tested_words import said, speaks_against

# What one look may multiply the evidence by. One stall makes many answers slow, so that takes some
# looks; errors are to be seen within seconds, in two of them.
_MOST: Mapping[Of, float] = {"latency": 10.0, "error_rate": 100.0}
# The stable arm's own answers say what is slow once two of them are expected to be.
_SLOW_EXPECTED = 2


def look(
    condition: Condition,
    workload: WorkloadArms,
    looks: ConditionLooks,
    *,
    false_alarms: float,
    counts: bool = True,
) -> Looked:
    """One look; `counts`: False while it warms up, so what is new is only noted.

    false_alarms: what this condition may have of them on this workload.
    """
    pairs = pairs_of(condition, workload, looks, counts=counts)
    if isinstance(pairs, Looked):
        return pairs
    sorts = dict(looks.sorts)
    warm = looks.warm
    if looks.window != workload.window:
        warm = {}
        sorts = {sort: SortLooks(slow=each.slow) for sort, each in sorts.items()}
    new: list[Counts] = []
    for sort, pair in pairs.items():
        before = sorts.get(sort, SortLooks())
        sorts[sort] = before
        slow = _slow(condition, pair, before.slow)
        if slow is None:
            continue
        added = _counts(condition, pair, slow).since(before.counts)
        if not added.possible:
            return broken(looks, "its figures cannot be: a counter went back")
        # Answers of one arm alone say nothing; they wait for the other's.
        if condition.worse_by is None or (added.candidate and added.stable):
            new.append(added)
            sorts[sort] = _after(condition, pair, slow)
    after = msgspec.structs.replace(looks, window=workload.window, warm=warm, sorts=sorts, broken=0)
    looked = _told(condition, pairs, _weighed(condition, after, new), false_alarms)
    if condition.worse_by is None or workload.weight != 100:
        return looked
    return msgspec.structs.replace(looked, words=f"{looked.words}; not compared at 100 %")


def _slow(condition: Condition, pair: Pair, known: int | None) -> int | None:
    """Over which bucket an answer is slow; None: not known yet, and all waits until it is.

    Where the stable arm has not told before, both arms' answers together do, which are the same
    whoever gave them.
    """
    if condition.of == "error_rate":
        return 0
    if condition.worse_by is None:
        return bucket_of(condition.at_most or 0.0)
    if known is not None:
        return known
    both = plus(pair[0].latency, pair[1].latency)
    if sum(both.values()) * (1 - condition.quantile) < 1 - 1e-9:
        return None
    return quantile_bucket(both, condition.quantile)


def _after(condition: Condition, pair: Pair, slow: int) -> SortLooks:
    """What the next look begins with."""
    if condition.of == "latency" and condition.worse_by is not None:
        stable = pair[1].latency
        if sum(stable.values()) * (1 - condition.quantile) >= _SLOW_EXPECTED - 1e-9:
            slow = quantile_bucket(stable, condition.quantile)
    return SortLooks(_counts(condition, pair, slow), slow)


def _counts(condition: Condition, pair: Pair, slow: int) -> Counts:
    ours, theirs = pair
    if condition.of == "error_rate":
        return Counts(ours.requests, ours.errors, ours.errors, theirs.requests, theirs.errors)
    tolerated = 0 if condition.worse_by is None else buckets_of(condition.worse_by)
    return Counts(
        sum(ours.latency.values()),
        over(ours.latency, slow),
        over(ours.latency, slow + tolerated),
        sum(theirs.latency.values()),
        over(theirs.latency, slow),
    )


def _weighed(condition: Condition, looks: ConditionLooks, new: list[Counts]) -> ConditionLooks:
    trials = [_trials(condition, each) for each in new]
    recent = looks.recent if looks.evidence.log > 0 else Counts()
    candidate, stable = looks.candidate, looks.stable
    for each in new:
        recent = recent.plus(each)
        candidate, stable = candidate + each.candidate, stable + each.stable
    return msgspec.structs.replace(
        looks,
        evidence=looks.evidence.after(trials, most=_MOST[condition.of]),
        latest=Evidence().after(trials).log if any(each.of for each in trials) else looks.latest,
        recent=recent,
        candidate=candidate,
        stable=stable,
    )


def _trials(condition: Condition, new: Counts) -> Trials:
    if condition.worse_by is None:
        return Trials(new.events, new.candidate, _limit(condition))
    share = new.candidate / (new.candidate + new.stable)
    return Trials(new.events, new.events + new.stable_events, share)


def _limit(condition: Condition) -> float:
    """The share of requests that may have an event."""
    return (condition.at_most or 0.0) if condition.of == "error_rate" else 1 - condition.quantile


def _told(
    condition: Condition, pairs: dict[str, Pair], looks: ConditionLooks, false_alarms: float
) -> Looked:
    compares = condition.worse_by is not None
    samples = min(looks.candidate, looks.stable) if compares else looks.candidate
    needs = max(0, condition.least - samples)
    ours, theirs = _shown(condition, pairs)
    exceeds = _exceeds(condition, looks)
    never = not compares and _limit(condition) == 0 and looks.recent.events > 0
    state: State = "holds"
    if never or (exceeds and looks.evidence.proves(false_alarms)):
        state = "worse"
    elif needs or ours is None:
        state = "few"
    elif (exceeds and speaks_against(looks)) or (not compares and ours > _shown_limit(condition)):
        state = "doubt"
    return Looked(
        looks=looks,
        state=state,
        words=said(condition, looks, ours, theirs, state),
        candidate=ours,
        stable=theirs,
        samples=samples,
        needs=needs,
    )


def _exceeds(condition: Condition, looks: ConditionLooks) -> bool:
    """Whether, lately, it is worse by more than is tolerated; without asking how sure that is."""
    recent = looks.recent
    if condition.worse_by is None:
        return True
    if not recent.candidate or not recent.stable:
        return False
    ours, theirs = recent.beyond / recent.candidate, recent.stable_events / recent.stable
    if condition.of == "error_rate":
        return ours > max(condition.above, theirs * (1 + condition.worse_by))
    return ours > theirs


def _shown(condition: Condition, pairs: dict[str, Pair]) -> tuple[float | None, float | None]:
    """What is said of both arms. A bound is for all that the candidate answered; arms are compared
    by one sort of request, since the other may take longer.
    """
    if condition.worse_by is None:
        return _figure(condition, _all(pair[0] for pair in pairs.values())), None
    ours, theirs = next(
        (pair for pair in pairs.values() if pair[0].requests), next(iter(pairs.values()))
    )
    return _figure(condition, ours), _figure(condition, theirs)


def _all(of: Iterable[RequestFigures]) -> RequestFigures:
    total = RequestFigures()
    for each in of:
        total.requests += each.requests
        total.errors += each.errors
        total.latency = plus(total.latency, each.latency)
    return total


def _figure(condition: Condition, figures: RequestFigures) -> float | None:
    if condition.of == "latency":
        return quantile_seconds(figures.latency, condition.quantile)
    return 100 * figures.errors / figures.requests if figures.requests else None


def _shown_limit(condition: Condition) -> float:
    """In the unit of the figure; of a bucket, where its middle is."""
    if condition.of == "error_rate":
        return 100 * (condition.at_most or 0.0)
    return seconds_of(bucket_of(condition.at_most or 0.0))
