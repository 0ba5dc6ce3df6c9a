"""Pages of metrics, good, lying and broken, and what is read of them."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.measuring.metric_reader import MetricReader, quantile_of
from agent.measuring.metric_text import read_metrics
from agent.measuring.readings import NotMeasuredError, Readings
from agent.protocol.measures import PrometheusMeasure

PAGE = r"""# HELP frames_total Frames. "quoted" {odd}
# TYPE frames_total counter
frames_total{camera="a",place="gate \"3\"\\\n"} 1027 1395066363000
frames_total{camera="b",} 3
queue_depth 4.5
temperature{sensor = "x" , unit="C"} -1.5e+01
latency_bucket{le="0.1"} 50
latency_bucket{le="0.5"} 90
latency_bucket{le="+Inf"} 100
latency_sum 20
nothing NaN
endless +Inf
broken{camera="a" 12
twice 1
twice 1
grouped 1_000
"""


def reader(metric: str, **more: Any) -> MetricReader:
    return MetricReader(PrometheusMeasure(name="m", port=80, metric=metric, **more))


def why(read: MetricReader, page: str = PAGE, at: float = 0.0) -> tuple[str, bool]:
    """Why a page gives no value, and whether that is a fault."""
    with pytest.raises(NotMeasuredError) as caught:
        read.read(page, at)
    return str(caught.value), caught.value.broke


def test_a_page_is_read_as_it_is_written() -> None:
    samples = read_metrics(PAGE, ["frames_total", "temperature"])
    assert [(each.name, dict(each.labels), each.value) for each in samples] == [
        ("frames_total", {"camera": "a", "place": 'gate "3"\\\n'}, 1027.0),
        ("frames_total", {"camera": "b"}, 3.0),
        ("temperature", {"sensor": "x", "unit": "C"}, -15.0),
    ]


def test_a_value() -> None:
    assert reader("queue_depth").read(PAGE, 0.0) == 4.5
    assert reader("frames_total", labels={"camera": "b"}).read(PAGE, 0.0) == 3.0


@pytest.mark.parametrize(
    ("metric", "labels", "words"),
    [
        ("absent", {}, "has no absent"),
        ("frames_total", {"camera": "c"}, "has no frames_total with camera='c'"),
        ("frames_total", {}, "2 series of frames_total"),
        ("nothing", {}, "nothing is nan"),
        ("endless", {}, "endless is inf"),
        ("broken", {}, "line 13 of its page is no metric"),
        ("twice", {}, "line 15 of its page is there twice"),
        ("grouped", {}, "is no metric"),
    ],
)
def test_what_is_no_value(metric: str, labels: dict[str, str], words: str) -> None:
    told, broke = why(reader(metric, labels=labels))
    assert words in told
    assert broke


@pytest.mark.parametrize(
    "page", ["", "<html><body>502</body></html>", "\x00\xff" * 100, "queue_depth"]
)
def test_what_is_no_page(page: str) -> None:
    _, broke = why(reader("queue_depth"), page)
    assert broke


def test_a_rate_is_of_what_was_added() -> None:
    read = reader("n", read="rate")
    assert why(read, "n 5", 10.0) == ("it was read once, and takes two readings", False)
    assert read.read("n 25", 14.0) == 5.0
    told, broke = why(read, "n 3", 15.0)
    assert "began anew" in told
    assert not broke
    assert read.read("n 4", 16.0) == 1.0


def test_a_rate_of_several_series_and_a_new_one() -> None:
    read = reader("n", read="rate")
    why(read, 'n{a="1"} 5\nn{a="2"} 5', 0.0)
    assert read.read('n{a="1"} 6\nn{a="2"} 6\nn{a="3"} 8', 2.0) == 5.0


def test_a_share_of_another_counter() -> None:
    read = reader("bad", read="rate", per="all", labels={"model": "m"}, absent="zero")
    assert "no all" in why(read, 'bad{model="m"} 1')[0]
    why(read, 'all{model="m"} 100\nall{model="other"} 7', 0.0)
    assert read.read('all{model="m"} 200\nbad{model="m"} 5', 9.0) == 0.05
    assert why(read, 'all{model="m"} 200\nbad{model="m"} 5', 12.0) == (
        "nothing was counted in all meanwhile",
        False,
    )


def test_a_counter_that_is_absent_is_an_error_unless_said_otherwise() -> None:
    assert why(reader("bad", read="rate"), "other 1")[1]
    read = reader("bad", read="rate", absent="zero")
    why(read, "other 1", 0.0)
    assert read.read("other 2", 1.0) == 0.0


def histogram(*counts: int) -> str:
    bounds = ("0.1", "0.5", "1", "+Inf")
    return "\n".join(
        f'h_bucket{{le="{bound}"}} {count}' for bound, count in zip(bounds, counts, strict=True)
    )


def test_a_quantile_is_of_what_was_added() -> None:
    read = reader("h", read="quantile", quantile=0.5)
    why(read, histogram(1000, 1000, 1000, 1000), 0.0)
    assert read.read(histogram(1000, 1100, 1100, 1100), 10.0) == pytest.approx(0.3)
    assert why(read, histogram(1000, 1100, 1100, 1100), 20.0)[1] is False
    told, broke = why(read, histogram(1000, 1100, 1100, 1200), 30.0)
    assert told == "it is over 1, the largest bound of its histogram's buckets"
    assert broke


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        (['h_bucket{le="1"} 1', 'h_bucket{le="1"} 2'], 'no bucket le="+Inf"'),
        (['h_bucket{le="x"} 1', 'h_bucket{le="x"} 2'], "le='x'"),
        (["h_bucket 1", "h_bucket 2"], "le=None"),
        (['h_bucket{le="NaN"} 1', 'h_bucket{le="NaN"} 2'], "le='NaN'"),
        (
            [histogram(0, 0, 0, 0), histogram(9, 5, 9, 9)],
            "hold less than those before",
        ),
        (['h_bucket{le="+Inf"} 1', 'h_bucket{le="+Inf"} 2'], "one bucket only"),
    ],
)
def test_a_histogram_that_is_none(pages: list[str], words: str) -> None:
    read = reader("h", read="quantile")
    why(read, pages[0], 0.0)
    told, broke = why(read, pages[1], 1.0)
    assert words in told
    assert broke


@given(
    st.lists(st.integers(0, 1000), min_size=2, max_size=8).filter(lambda counts: sum(counts) > 0),
    st.floats(0.01, 0.99),
)
def test_a_quantile_lies_within_the_bucket_that_holds_it(added: list[int], share: float) -> None:
    bounds = [float(number + 1) for number in range(len(added) - 1)] + [float("inf")]
    buckets = {bound: float(sum(added[: n + 1])) for n, bound in enumerate(bounds)}
    below = next(n for n, bound in enumerate(bounds) if buckets[bound] >= share * sum(added))
    if below == len(bounds) - 1:
        with pytest.raises(NotMeasuredError):
            quantile_of(share, buckets)
    else:
        assert float(below) <= quantile_of(share, buckets) <= bounds[below]


@given(st.text(max_size=200))
def test_no_page_is_more_than_an_error(page: str) -> None:
    for read in (reader("a"), reader("a", read="rate"), reader("a", read="quantile")):
        for at in (0.0, 1.0):
            with suppress(NotMeasuredError):
                assert math.isfinite(read.read(page, at))


def test_readings_are_kept_within_bounds_and_what_is_no_number_is_an_error() -> None:
    figure = Readings(keep=10_000)
    assert figure.shown().unknown == "it was not read yet"
    for number in range(500):
        figure.add(float(number), float(number))
    figure.add(float("nan"), 501.0)
    figure.fail(NotMeasuredError("it went down", broke=False))
    shown = figure.shown()
    assert (shown.count, shown.errors, shown.last, shown.last_at) == (500, 1, 499.0, 499.0)
    assert (shown.lowest, shown.highest, shown.mean) == (0.0, 499.0, 249.5)
    assert len(shown.samples) == 200
    assert shown.samples[-1] == 499.0
    assert shown.unknown == "it went down"
