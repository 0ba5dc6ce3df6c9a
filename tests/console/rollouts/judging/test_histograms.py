"""Histograms against the raw samples that they were made of."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.arms import GROWTH, bucket_of, seconds_of
from console.rollouts.judging.histograms import (
    buckets_of,
    minus,
    over,
    quantile_bucket,
    quantile_seconds,
)

seconds = st.floats(1e-4, 30)
samples = st.lists(seconds, min_size=1, max_size=200)
quantiles = st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999])


@given(samples, seconds)
def test_over_counts_what_is_slower_than_the_whole_bucket(raw: list[float], limit: float) -> None:
    bucket = bucket_of(limit)
    counted = over(Counter(bucket_of(each) for each in raw), bucket)
    assert counted == sum(bucket_of(each) > bucket for each in raw)
    assert counted <= sum(each > limit for each in raw)
    assert counted >= sum(each > limit * GROWTH * (1 + 1e-9) for each in raw)


@given(samples, quantiles)
def test_a_quantile_is_the_raw_one_but_for_1_percent(raw: list[float], quantile: float) -> None:
    rank = len(raw) - math.floor((1 - quantile) * len(raw) + 1e-9)  # from 1
    exact = sorted(raw)[rank - 1]
    found = quantile_seconds(Counter(bucket_of(each) for each in raw), quantile)
    assert found is not None
    assert abs(math.log(found / exact)) <= math.log(GROWTH)


@given(samples, quantiles)
def test_no_more_than_its_share_are_over_a_quantile(raw: list[float], quantile: float) -> None:
    histogram = Counter(bucket_of(each) for each in raw)
    bucket = quantile_bucket(histogram, quantile)
    may_be = math.floor((1 - quantile) * len(raw) + 1e-9)
    assert over(histogram, bucket) <= may_be
    below = max((each for each in histogram if each < bucket), default=None)
    assert below is None or over(histogram, below) > may_be


def test_three_of_three_hundred_may_be_over_the_p99() -> None:
    histogram = Counter({100: 297, 200: 3})  # in floating point, 0.01 * 300 is under 3
    assert quantile_bucket(histogram, 0.99) == 100
    assert quantile_bucket(histogram + Counter({200: 1}), 0.99) == 200


def test_nothing_has_no_quantile() -> None:
    assert quantile_seconds({}, 0.5) is None
    with pytest.raises(ValueError, match="empty"):
        quantile_bucket({}, 0.5)


@pytest.mark.parametrize(("share", "buckets"), [(0, 0), (0.01, 1), (0.1, 10), (1, 70)])
def test_a_share_in_buckets(share: float, buckets: int) -> None:
    assert buckets_of(share) == buckets
    assert seconds_of(500 + buckets) / seconds_of(500) == pytest.approx(1 + share, abs=0.011)


@given(samples, samples)
def test_what_was_added(one: list[float], more: list[float]) -> None:
    before = Counter(bucket_of(each) for each in one)
    added = Counter(bucket_of(each) for each in more)
    assert minus(before + added, before) == added
