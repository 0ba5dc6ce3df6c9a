"""From pages of metrics to readings of one `PrometheusMeasure`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

from agent.measuring.metric_text import Sample, read_metrics
from agent.measuring.readings import NotMeasuredError
from agent.protocol.measures import PrometheusMeasure

BUCKET = "_bucket"

# What counters stood at, by series: rates and quantiles are of what was added since.
Counts = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


class MetricReader:
    """Reads one measure in one window: what is added up is so from its first page on."""

    def __init__(self, measure: PrometheusMeasure) -> None:
        self._measure = measure
        self._before: Counts | None = None
        self._before_at = 0.0

    def read(self, page: str, at: float) -> float:
        """The value that a page gives, at so many seconds.

        Raises:
            NotMeasuredError: it gives none.
        """
        measure = self._measure
        name = measure.metric + BUCKET if measure.read == "quantile" else measure.metric
        wanted = [name] if measure.per is None else [name, measure.per]
        samples = [
            sample
            for sample in read_metrics(page, wanted)
            if all(sample.labels.get(key) == value for key, value in measure.labels.items())
        ]
        for each in wanted:
            may_lack = each == measure.metric and measure.absent == "zero"
            if not may_lack and not any(sample.name == each for sample in samples):
                raise NotMeasuredError(f"its page has no {_told(each, measure.labels)}")
        for sample in samples:
            if not math.isfinite(sample.value):
                raise NotMeasuredError(f"its {sample.name} is {sample.value}")
        if measure.read == "value":
            if len(samples) > 1:
                raise NotMeasuredError(
                    f"its page has {len(samples)} series of {name}: name the labels of one"
                )
            return samples[0].value if samples else 0.0
        return self._added(name, samples, at)

    def _added(self, name: str, samples: Sequence[Sample], at: float) -> float:
        now = {(each.name, tuple(sorted(each.labels.items()))): each.value for each in samples}
        before, since = self._before, at - self._before_at
        self._before, self._before_at = now, at
        if before is None or since <= 0:
            raise NotMeasuredError("it was read once, and takes two readings", broke=False)
        added = {key: value - before.get(key, 0.0) for key, value in now.items()}
        if before.keys() - now.keys() or any(value < 0 for value in added.values()):
            raise NotMeasuredError(f"{name} went down: it began anew", broke=False)
        total = math.fsum(value for key, value in added.items() if key[0] == name)
        if self._measure.read == "quantile":
            return quantile_of(self._measure.quantile, _buckets(added))
        if self._measure.per is None:
            return total / since
        of = math.fsum(value for key, value in added.items() if key[0] == self._measure.per)
        if of == 0:
            raise NotMeasuredError(
                f"nothing was counted in {self._measure.per} meanwhile", broke=False
            )
        return total / of


def quantile_of(share: float, buckets: Mapping[float, float]) -> float:
    """A quantile of a histogram, even within each bucket.

    Args:
        buckets: by upper bound, how many were that or less; the last bound is infinite.

    Raises:
        NotMeasuredError: there were none; it lies in the bucket that has no end; these are none.
    """
    bounds = sorted(buckets)
    if not bounds or not math.isinf(bounds[-1]):
        raise NotMeasuredError('its histogram has no bucket le="+Inf"')
    counts = [buckets[bound] for bound in bounds]
    if any(one > other for one, other in itertools.pairwise(counts)):
        raise NotMeasuredError("its histogram's buckets hold less than those before them")
    if counts[-1] <= 0:
        raise NotMeasuredError("its histogram counted nothing meanwhile", broke=False)
    rank = share * counts[-1]
    number = next(place for place, count in enumerate(counts) if count >= rank)
    if math.isinf(bounds[number]):
        last = bounds[number - 1] if number else None
        raise NotMeasuredError(
            "its histogram has one bucket only"
            if last is None
            else f"it is over {last:g}, the largest bound of its histogram's buckets"
        )
    below = counts[number - 1] if number else 0.0
    lower = bounds[number - 1] if number else min(0.0, bounds[0])
    inside = counts[number] - below
    return lower + (bounds[number] - lower) * ((rank - below) / inside if inside else 1.0)


def _buckets(added: Counts) -> dict[float, float]:
    """By bound, of all series together. Raises NotMeasuredError."""
    found: dict[float, float] = {}
    for (_, labels), count in added.items():
        bound = dict(labels).get("le")
        try:
            found_at = float(bound or "")
        except ValueError:
            raise NotMeasuredError(f"its histogram has a bucket le={bound!r}") from None
        if math.isnan(found_at):
            raise NotMeasuredError(f"its histogram has a bucket le={bound!r}")
        found[found_at] = found.get(found_at, 0.0) + count
    return found


def _told(name: str, labels: Mapping[str, str]) -> str:
    if not labels:
        return name
    return f"{name} with " + ", ".join(f"{key}={value!r}" for key, value in labels.items())
