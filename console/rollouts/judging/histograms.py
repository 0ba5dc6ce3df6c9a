"""Latencies counted in buckets, as the wire has them (`agent.protocol.arms.bucket_of`)."""

from __future__ import annotations

import math
from collections.abc import Mapping

from agent.protocol.arms import GROWTH, seconds_of

Histogram = Mapping[int, int]


def over(histogram: Histogram, bucket: int) -> int:
    """How many are in higher buckets."""
    return sum(count for each, count in histogram.items() if each > bucket)


def quantile_bucket(histogram: Histogram, quantile: float) -> int:
    """The lowest bucket that at most 1 - `quantile` of all are over. Some have to be there."""
    total = sum(histogram.values())
    # 0.01 * 300 is a little less than 3, and three answers may be over it.
    may_be_over = math.floor((1 - quantile) * total + 1e-9)
    left = total
    for bucket in sorted(histogram):
        left -= histogram[bucket]
        if left <= may_be_over:
            return bucket
    raise ValueError("an empty histogram has no quantile")


def quantile_seconds(histogram: Histogram, quantile: float) -> float | None:
    """None of none."""
    return seconds_of(quantile_bucket(histogram, quantile)) if any(histogram.values()) else None


def buckets_of(share: float) -> int:
    """How many buckets higher an answer is that takes longer by `share`."""
    return round(math.log1p(share) / math.log(GROWTH))


def minus(now: Histogram, before: Histogram) -> dict[int, int]:
    """What was added since."""
    left = {bucket: count - before.get(bucket, 0) for bucket, count in now.items()}
    return {bucket: count for bucket, count in left.items() if count}


def plus(one: Histogram, other: Histogram) -> dict[int, int]:
    """Both together."""
    both = dict(one)
    for bucket, count in other.items():
        both[bucket] = both.get(bucket, 0) + count
    return both
