"""False alarms over whole sequences of looks, and what is caught; seeds are fixed.

tests/bench/judging.py has the large ones. The limits here are of the binomial distribution: what
keeps 1 % of false alarms is over 5 of 100 with a chance under 1 in 1,000, were it drawn anew.
"""

from __future__ import annotations

from collections import Counter
from math import comb
from random import Random

import pytest

from agent.protocol.arms import Arms, RequestFigures, bucket_of
from console.rollouts.judging.analysis import Analysis, Condition
from tests.console.rollouts.judging.arms_made import drawn, even, figures, judged, of

RUNS = 100
MOST = 5
EVERYTHING = Analysis(
    conditions=(
        Condition(of="error_rate", worse_by=0.0),
        Condition(of="error_rate", at_most=0.02),
        Condition(of="latency", worse_by=0.0),
        Condition(of="latency", quantile=0.5, worse_by=0.0),
        Condition(of="distribution", worse_by=0.0),
    )
)


def over(chance: float, runs: int, most: int) -> float:
    """That more than so many of all happen."""
    return 1 - sum(
        comb(runs, each) * chance**each * (1 - chance) ** (runs - each) for each in range(most + 1)
    )


def alike(seed: int, weight: int) -> list[Arms]:
    """20 looks at two arms that are the same, at 2,000 requests of which 2 % fail; two windows."""
    random = Random(seed)
    told = []
    for window, share in (("w1", weight), ("w2", 50)):
        latency: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
        failed = [0, 0]
        for _ in range(10):
            for seconds in drawn(random, 100):
                arm = 0 if random.random() * 100 < share else 1
                if random.random() < 0.02:
                    failed[arm] += 1
                else:
                    latency[arm][bucket_of(seconds)] += 1
            candidate, stable = (
                RequestFigures(
                    requests=counts.total() + errors, errors=errors, latency=dict(counts)
                )
                for counts, errors in zip(latency, failed, strict=True)
            )
            told.append(of(candidate, stable, window=window, weight=share))
    return told


def test_the_limit_is_what_it_says() -> None:
    assert over(0.01, RUNS, MOST) < 0.001


@pytest.mark.timeout(60)
@pytest.mark.parametrize("weight", [10, 50])
def test_a_candidate_that_is_no_different_hardly_ever_fails(weight: int) -> None:
    """Though nothing is tolerated, five conditions are tested, and there are 20 looks."""
    failed = sum(
        judged(EVERYTHING, alike(seed, weight))[-1].outcome == "fail" for seed in range(RUNS)
    )
    assert failed <= MOST


def test_errors_at_the_very_bound_hardly_ever_fail() -> None:
    bound = Analysis(conditions=(Condition(of="error_rate", at_most=0.05),))
    failed = 0
    for seed in range(RUNS):
        random, errors, told = Random(seed), 0, []
        for look in range(1, 41):
            errors += sum(random.random() < 0.05 for _ in range(25))
            told.append(of(even(25 * look, errors)))
        failed += judged(bound, told)[-1].outcome == "fail"
    assert failed <= MOST


@pytest.mark.timeout(60)
def test_a_fifth_more_at_the_p99_is_caught() -> None:
    """At least 95 % of the time, so of 60 more than 9 are missed with a chance under 1 in 1,000."""
    assert over(0.05, 60, 9) < 0.001
    missed = 0
    for seed in range(60):
        random = Random(seed)
        ours, theirs = drawn(random, 2000, factor=1.2), drawn(random, 2000)
        told = [of(figures(ours[: 200 * n]), figures(theirs[: 200 * n])) for n in range(1, 11)]
        tail = Analysis(conditions=(Condition(of="latency", worse_by=0.1),))
        missed += judged(tail, told)[-1].outcome != "fail"
    assert missed <= 9
