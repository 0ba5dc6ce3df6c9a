"""The judge on simulated arms: false alarms over whole sequences of looks, and what it catches.

Latencies are log-normal, around 50 ms. The peer judges as one would without thinking of looks:
Mann-Whitney's test at 1 % at every one of them.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from agent.protocol.arms import GROWTH, Arm, Arms, RequestFigures, WorkloadArms
from console.rollouts.judging.analysis import CAREFUL, Analysis, Condition
from console.rollouts.judging.judge import judge
from console.rollouts.judging.looks import NodeLooks
from console.rollouts.judging.ranks import mann_whitney
from tests.bench.table import Row

MEDIAN = 0.05
SIGMAS = (0.3, 0.5, 0.8)
ANSWERS, LOOK_EVERY = 2000, 100
REGRESSION = 1.2
FAIL_RATE = 0.01  # of both arms
# What a release says that asks for all that is tested.
ALL = Analysis(
    conditions=(
        *CAREFUL,
        Condition(of="distribution", worse_by=0.0),
        Condition(of="latency", quantile=0.5, worse_by=0.0, least=200),
    )
)
TAIL = Analysis(conditions=CAREFUL)
PEER = "Mann-Whitney at 1 % at each look"


class Found(NamedTuple):
    """At how many answers of each arm it failed; None: it did not."""

    judge: int | None
    peer: int | None


def run(*, short: bool) -> list[Row]:
    """`short` with a tenth of the runs."""
    runs, fewer = (100, 40) if short else (1000, 200)
    return [
        _alike("as a release that says nothing", TAIL, runs),
        _alike("as one that asks for all there is", ALL, runs),
        *(_caught(sigma, 4 * fewer if sigma == SIGMAS[0] else fewer) for sigma in SIGMAS),
        *(_needed(sigma, fewer // 2) for sigma in SIGMAS),
    ]


def _alike(name: str, analysis: Analysis, runs: int) -> Row:
    found = [
        _until_failed(analysis, Random(seed), sigma, 1.0, ANSWERS)
        for seed, sigma in zip(range(runs), itertools.cycle(SIGMAS))
    ]
    looks = ANSWERS // LOOK_EVERY
    return Row(
        name=f"identical arms, {runs:,} analyses of {looks} looks, {name}: failed",
        value=_share(each.judge is not None for each in found),
        unit="%",
        limit=1,
        peer_name=PEER,
        peer=_share(each.peer is not None for each in found),
    )


def _caught(sigma: float, runs: int) -> Row:
    found = [_until_failed(TAIL, Random(seed), sigma, REGRESSION, ANSWERS) for seed in range(runs)]
    return Row(
        name=f"20 % slower, sigma {sigma}, {ANSWERS:,} answers per arm: missed",
        value=_share(each.judge is None for each in found),
        unit="%",
        limit=5 if sigma == SIGMAS[0] else None,
        peer_name=f"{PEER}, any slowness",
        peer=_share(each.peer is None for each in found),
    )


def _needed(sigma: float, runs: int) -> Row:
    """Answers of each arm until the p99 has failed 95 of 100."""
    most = 40_000
    at = sorted(
        _until_failed(TAIL, Random(seed), sigma, REGRESSION, most, peer=False).judge or most
        for seed in range(runs)
    )
    needed = at[math.ceil(0.95 * runs) - 1]
    half = at[runs // 2]
    return Row(
        name=f"20 % slower, sigma {sigma}: answers per arm until 95 of 100 are caught",
        value=needed,
        unit="answers",
        note=f"half of them by {half:,}",
    )


def _until_failed(
    analysis: Analysis, random: Random, sigma: float, factor: float, most: int, *, peer: bool = True
) -> Found:
    looks = NodeLooks()
    failed: int | None = None
    naive: int | None = None
    for number, told in enumerate(_told(random, sigma, factor, most), 1):
        if failed is None:
            found = judge(analysis, told, looks, soaked=100.0 + 5 * number)
            looks = found.looks
            failed = number * LOOK_EVERY if found.outcome == "fail" else None
        if peer and naive is None:
            workload = told.workloads[0]
            ours, theirs = workload.candidate.requests, workload.stable.requests
            ranks = mann_whitney([(ours.latency, theirs.latency)]) if ours and theirs else None
            naive = number * LOOK_EVERY if ranks and ranks.chance < 0.01 else None
        if failed is not None and (naive is not None or not peer):
            break
    return Found(failed, naive)


def _told(random: Random, sigma: float, factor: float, most: int) -> Iterator[Arms]:
    candidate, stable = _requests(random, sigma, factor), _requests(random, sigma, 1.0)
    for number in range(most // LOOK_EVERY):
        ours, theirs = next(candidate), next(stable)
        workload = WorkloadArms(
            name="web",
            window="w",
            seconds=5.0 * number,
            weight=50,
            stable=Arm(container="s", requests=theirs),
            candidate=Arm(container="c", requests=ours),
        )
        yield Arms(deployment="d", workloads=[workload])


def _requests(random: Random, sigma: float, factor: float) -> Iterator[RequestFigures]:
    """What an arm has answered after so many looks."""
    middle, width = math.log(MEDIAN * factor * 1e6) / math.log(GROWTH), sigma / math.log(GROWTH)
    latency: Counter[int] = Counter()
    errors = 0
    while True:
        failed = sum(random.random() < FAIL_RATE for _ in range(LOOK_EVERY))
        errors += failed
        latency.update(math.floor(random.gauss(middle, width)) for _ in range(LOOK_EVERY - failed))
        yield RequestFigures(
            requests=latency.total() + errors, errors=errors, latency=dict(latency)
        )


def _share(which: Iterator[bool]) -> float:
    """Percent."""
    each = list(which)
    return 100 * sum(each) / len(each)
