"""What one condition's look came to, before the analysis' policies make an outcome of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.protocol.arms import HIGHEST_BUCKET, Arm, RequestFigures, WorkloadArms
from console.rollouts.judging.analysis import Condition
from console.rollouts.judging.histograms import minus
from console.rollouts.judging.looks import ConditionLooks
from console.rollouts.judging.words import name_of, reason

# holds: as far as this could be seen. worse: proven. doubt: it may be worse, more data will tell.
# few: too little to say. blind: it cannot be measured here. broken: what measures it fails.
# off: there is nothing to judge here.
State = Literal["holds", "worse", "doubt", "few", "blind", "broken", "off"]

Pair = tuple[RequestFigures, RequestFigures]


class Looked(msgspec.Struct, kw_only=True, frozen=True):
    """One look at one condition."""

    looks: ConditionLooks
    state: State
    words: str
    candidate: float | None = None
    stable: float | None = None
    samples: int = 0
    needs: int = 0


def pairs_of(
    condition: Condition, workload: WorkloadArms, looks: ConditionLooks, *, counts: bool
) -> dict[str, Pair] | Looked:
    """What both arms answered since it counts, by sort of request; or what this look came to.

    Where there is no stable arm and none is wanted, its figures are empty.
    """
    found = _pairs(condition, workload)
    if isinstance(found, str):
        return Looked(looks=looks, state="blind", words=reason(found))
    warm = looks.warm if looks.window == workload.window else {}
    pairs = {sort: _since(pair, warm.get(sort)) for sort, pair in found.items()}
    for pair in pairs.values():
        if wrong := _contradiction(pair):
            return broken(looks, f"its figures cannot be: {wrong}")
    if counts:
        return pairs
    looks = msgspec.structs.replace(looks, window=workload.window, warm=found, broken=0)
    return Looked(looks=looks, state="few", words=f"{name_of(condition)} while it warms up")


def _since(pair: Pair, warm: Pair | None) -> Pair:
    if warm is None:
        return pair
    ours, theirs = (
        RequestFigures(
            requests=now.requests - before.requests,
            errors=now.errors - before.errors,
            latency=minus(now.latency, before.latency),
        )
        for now, before in zip(pair, warm, strict=True)
    )
    return ours, theirs


def broken(looks: ConditionLooks, words: str, times: int = 1) -> Looked:
    """What measures it failed so many times more."""
    counted = msgspec.structs.replace(looks, broken=looks.broken + times)
    return Looked(looks=counted, state="broken", words=words)


def _pairs(condition: Condition, workload: WorkloadArms) -> dict[str, Pair] | str:
    compares = condition.worse_by is not None
    if compares and workload.stable.container is None:
        return "nothing ran here before, so there is nothing to compare with"
    found: dict[str, Pair] = {}
    for sort in ("requests", "replayed"):
        ours, theirs = _figures(condition, workload.candidate, sort), None
        if compares:
            theirs = _figures(condition, workload.stable, sort)
        if ours is not None and (theirs is not None or not compares):
            found[sort] = (ours, theirs or RequestFigures())
    if found:
        return found
    unknown = {**workload.stable.unknown, **workload.candidate.unknown}
    keys = ("requests.errors", "requests") if condition.of == "error_rate" else ("requests",)
    told = [unknown[key] for key in keys if key in unknown]
    return told[0] if told else "its requests do not go through a proxy, so nobody counts them"


def _figures(condition: Condition, arm: Arm, sort: str) -> RequestFigures | None:
    if condition.of == "error_rate" and f"{sort}.errors" in arm.unknown:
        return None
    return arm.requests if sort == "requests" else arm.replayed


def _contradiction(pair: Pair) -> str | None:
    """What is wrong with figures that no traffic can have; None: nothing."""
    for name, figures in zip(("candidate", "stable"), pair, strict=True):
        answers = sum(figures.latency.values())
        if not all(0 <= bucket <= HIGHEST_BUCKET for bucket in figures.latency):
            return f"the {name} has answers that took longer than anybody waits"
        if min(figures.requests, figures.errors, *figures.latency.values(), 0) < 0:
            return f"the {name} has fewer than before"
        if figures.errors > figures.requests or answers > figures.requests:
            return (
                f"the {name} has {figures.errors} errors and {answers} answers"
                f" of {figures.requests} requests"
            )
    return None
