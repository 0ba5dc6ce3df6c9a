"""Rates: reading them, keeping to them, telling them."""

from __future__ import annotations

import pytest

from agent.protocol.problems import ProblemError
from console.images.rate import WINDOW_SECONDS, RateLimit, RateMeter, parse_bytes, parse_rate


class Time:
    """A clock that only sleeping and the test move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1", 1),
        ("800KB", 800_000),
        ("2MB", 2_000_000),
        ("1.5 g", 1_500_000_000),
        ("512KiB", 524_288),
        ("3900MiB", 3900 * 2**20),
    ],
)
def test_numbers_of_bytes(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    ("text", "rate"),
    [("2MB/s", 2_000_000), ("500k", 500_000), ("20Mbit/s", 2_500_000), ("8bit/s", 1)],
)
def test_rates(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "-1MB", "fast", "2TB", "1e3", "MB", "2MB/m", "bit/s"])
def test_what_is_no_rate_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ProblemError) as raised:
        parse_rate(text)
    assert raised.value.code == "console.usage"
    assert repr(text) in raised.value.detail
    assert raised.value.hint


async def test_a_limit_is_kept_over_all_who_ask() -> None:
    time = Time()
    limit = RateLimit(1000, clock=time, sleep=time.sleep)
    for _ in range(100):
        await limit.take(limit.piece_bytes)
    assert time.now - 100.0 == pytest.approx(100 * limit.piece_bytes / 1000)


async def test_a_pause_is_not_followed_by_a_flood() -> None:
    time = Time()
    limit = RateLimit(1000, clock=time, sleep=time.sleep)
    time.now += 3600
    for _ in range(10):
        await limit.take(1000)
    assert time.now == pytest.approx(100 + 3600 + 9)


async def test_without_a_limit_nobody_waits() -> None:
    time = Time()
    limit = RateLimit(None, clock=time, sleep=time.sleep)
    await limit.take(10**12)
    assert time.now == 100.0


def test_a_rate_is_of_the_last_seconds() -> None:
    time = Time()
    meter = RateMeter(clock=time)
    assert meter.bytes_per_second == 0
    for _ in range(100):
        meter.add(500)
        time.now += 1
    assert meter.bytes_per_second == pytest.approx(500)
    time.now += WINDOW_SECONDS + 1
    assert meter.bytes_per_second == 0
