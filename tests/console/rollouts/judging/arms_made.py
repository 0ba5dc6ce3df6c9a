"""Arms as a node would tell them, made of raw samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from random import Random

from agent.protocol.arms import Arm, Arms, RequestFigures, WorkloadArms, bucket_of
from console.rollouts.judging.analysis import Analysis
from console.rollouts.judging.judge import Judgement, judge
from console.rollouts.judging.looks import NodeLooks

MEDIAN = 0.05


def figures(seconds: Iterable[float] = (), errors: int = 0) -> RequestFigures:
    """Of answers that took so long, and errors beside them."""
    latency = Counter(bucket_of(each) for each in seconds)
    return RequestFigures(requests=latency.total() + errors, errors=errors, latency=dict(latency))


def even(requests: int, errors: int = 0, seconds: float = MEDIAN) -> RequestFigures:
    """Requests of which some failed; the others took equally long."""
    good = requests - errors
    latency = {bucket_of(seconds): good} if good else {}
    return RequestFigures(requests=requests, errors=errors, latency=latency)


def drawn(random: Random, count: int, sigma: float = 0.3, factor: float = 1.0) -> list[float]:
    """Log-normal seconds."""
    return [factor * MEDIAN * math.exp(random.gauss(0, sigma)) for _ in range(count)]


def arm(requests: RequestFigures | None = None, **more: object) -> Arm:
    return Arm(container="c" * 64, runs=True, requests=requests, **more)  # type: ignore[arg-type]


def arms(
    candidate: Arm, stable: Arm, *, window: str = "w1", weight: int | None = 50, name: str = "web"
) -> Arms:
    workload = WorkloadArms(
        name=name, window=window, seconds=1.0, weight=weight, stable=stable, candidate=candidate
    )
    return Arms(deployment="d1", workloads=[workload])


def of(
    candidate: RequestFigures | None, stable: RequestFigures | None = None, **more: object
) -> Arms:
    """Both arms by their requests alone."""
    return arms(arm(candidate), arm(stable), **more)  # type: ignore[arg-type]


def judged(analysis: Analysis, told: Iterable[Arms], *, every: float = 5.0) -> list[Judgement]:
    """One look at each, `every` so many seconds; until one fails."""
    looks, found = NodeLooks(), list[Judgement]()
    for number, each in enumerate(told, 1):
        found.append(judge(analysis, each, looks, soaked=number * every))
        looks = found[-1].looks
        if found[-1].outcome == "fail":
            break
    return found
