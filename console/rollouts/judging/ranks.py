"""Mann-Whitney's test on two histograms, several pairs of them together, with its effect size."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from console.rollouts.judging.histograms import Histogram


class Ranks(NamedTuple):
    """What the ranks of the candidate's answers among all say."""

    z: float  # how many standard deviations they are higher than if both were alike
    # Cliff's: the chance that an answer of the candidate's takes longer than one of stable's, less
    # the chance that it is quicker; -1 to 1.
    delta: float

    @property
    def chance(self) -> float:
        """Of ranks as high or higher if both are alike: one-sided, by the normal distribution."""
        return 0.5 * math.erfc(self.z / math.sqrt(2))


def mann_whitney(pairs: Iterable[tuple[Histogram, Histogram]]) -> Ranks | None:
    """Of (candidate, stable), ranked within each pair; None where nothing can be compared.

    Answers of one bucket are tied: each has their mean rank, and the variance is less by them.
    Over several pairs, which are separate sorts of requests, the statistics are added up.
    """
    wins = variance = compared = 0.0
    for candidate, stable in pairs:
        m, n = sum(candidate.values()), sum(stable.values())
        if not m or not n:
            continue
        tied = 0
        below = 0
        for bucket in sorted({*candidate, *stable}):
            ours, theirs = candidate.get(bucket, 0), stable.get(bucket, 0)
            wins += ours * (below - (n - below - theirs))  # those that are lower, less the higher
            below += theirs
            tied += (ours + theirs) ** 3 - (ours + theirs)
        total = m + n
        # Of wins - losses, which is twice U less its mean.
        variance += m * n * (total + 1 - tied / (total * (total - 1))) / 3
        compared += m * n
    if not compared or variance <= 0:
        return None
    return Ranks(wins / math.sqrt(variance), wins / compared)
