"""Evidence that may be looked at as often as one likes: a mixture of likelihood ratios.

Each look tells of new trials, of which `events` out of `of` went against the candidate; if it is no
worse, each does so with the chance `expected` at most. The evidence is the likelihood ratio of "it
does so with higher odds", averaged over how much higher and over the look since which it is so.
Such an average is a non-negative supermartingale with mean 1 if the candidate is no worse, so it
ever reaches 1/a with a chance of a at most, however many looks there are (Ville's inequality). The
mixture over odds is the mixture SPRT of Robbins and of Johari and others ("Always valid inference",
2022), the one over beginnings an e-detector as Shin, Ramdas and Rinaldo have it (2022): a candidate
that turns bad after a good hour is seen as fast as one that begins so, nearly.

Events of two arms: if they are alike, those that had an event among all of a look are drawn without
putting back. Drawn with putting back, the mean of the ratio is higher and 1 (Hoeffding 1963,
theorem 4), so the share of the candidate in that look's requests may stand for `expected`, exactly,
whatever the weight was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

# By how much the odds of an event are higher: a candidate that is in between is seen as well.
ODDS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0)


class Trials(NamedTuple):
    """What was new at one look."""

    events: int
    of: int
    expected: float  # 0 to 1


class Evidence(msgspec.Struct, frozen=True, array_like=True):
    """That a candidate is worse; begin with an empty one."""

    looks: int = 0  # that told of any trial
    logs: tuple[float, ...] = ()  # of ODDS; sums over the looks since which it may be so

    def after(self, trials: Iterable[Trials], *, most: float = math.inf) -> Evidence:
        """With one look more. Several trials are of separate sorts of requests.

        most: no look makes any of the ratios more than so many times what it was. That keeps all
        that was said above, and a single stall or burst, whose events have one cause, is no proof.
        """
        told = [each for each in trials if each.of]
        if not told:
            return self
        looks = self.looks + 1
        begins = -math.log(looks) - math.log(looks + 1)  # these weights add up to 1
        before = [_sum(log, begins) for log in self.logs] or [begins] * len(ODDS)
        logs = [
            log + min(math.log(most), sum(_log_ratio(each, odds) for each in told))
            for log, odds in zip(before, ODDS, strict=True)
        ]
        return Evidence(looks, tuple(logs))

    @property
    def log(self) -> float:
        """The natural logarithm of the evidence; 0: none either way."""
        not_yet = -math.log(self.looks + 1)  # it may begin after this look
        total = not_yet
        for log in self.logs:
            total = _sum(total, log - math.log(len(ODDS)))
        return total

    def proves(self, false_alarms: float) -> bool:
        """Whether it is enough, if so many false alarms are allowed."""
        return self.log >= -math.log(false_alarms)


def _log_ratio(trials: Trials, odds: float) -> float:
    """Of `odds` times the odds, against `expected`; it grows with `events`."""
    events, of, expected = trials
    return events * math.log(odds) - of * math.log1p((odds - 1) * expected)


def _sum(one: float, other: float) -> float:
    """log(exp(one) + exp(other))"""
    high, low = max(one, other), min(one, other)
    return high + math.log1p(math.exp(low - high))
