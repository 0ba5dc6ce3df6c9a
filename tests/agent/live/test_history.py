"""History rings."""

from __future__ import annotations

from agent.live.history import MINUTES, SECONDS, HistoryStore, quantile


def test_seconds_keep_ten_minutes_and_gaps() -> None:
    store = HistoryStore()
    for second in range(SECONDS + 50):
        store.put({("g", "utilization_percent"): None if second % 2 else float(second)})
    (series,) = store.series("1s")
    assert len(series.values) == SECONDS
    assert series.values[-2:] == [SECONDS + 48.0, None]
    assert series.values[0] == 50.0


def test_a_young_store_answers_only_what_it_saw() -> None:
    store = HistoryStore()
    for second in range(3):
        store.put({("g", "utilization_percent"): float(second)})
    (series,) = store.series("1s")
    assert series.values == [0.0, 1.0, 2.0]
    assert store.series("1m")[0].values == []


def test_minutes_keep_median_p95_and_max() -> None:
    store = HistoryStore()
    for second in range(120):
        store.put({("g", "temperature_celsius"): float(second % 60)})
    (series,) = store.series("1m")
    assert series.values == [29.0, 29.0]
    assert series.p95 == [56.0, 56.0]
    assert series.max == [59.0, 59.0]


def test_a_minute_without_values_is_a_gap() -> None:
    store = HistoryStore()
    store.put({("g", "power_watts"): 10.0})
    for _ in range(119):
        store.put({})
    (series,) = store.series("1m")
    assert series.values == [10.0, None]


def test_filters_and_count() -> None:
    store = HistoryStore()
    for second in range(10):
        store.put({("a", "power_watts"): 1.0, ("b", "power_watts"): float(second)})
    (series,) = store.series("1s", metric="power_watts", subject="b", count=3)
    assert series.values == [7.0, 8.0, 9.0]
    assert store.series("1s", metric="sm_clock_mhz") == []


def test_a_lost_gpu_stays_for_a_day_and_then_goes() -> None:
    store = HistoryStore()
    store.put({("gone", "power_watts"): 1.0})
    for _ in range(60 * 10):
        store.put({("here", "power_watts"): 1.0})
    assert {series.subject for series in store.series("1s")} == {"gone", "here"}
    store._ticks += MINUTES * 60 - store._ticks % 60
    for _ in range(60):
        store.put({("here", "power_watts"): 1.0})
    assert {series.subject for series in store.series("1s")} == {"here"}


def test_quantiles_are_nearest_rank() -> None:
    assert quantile([], 0.5) is None
    assert quantile([7.0], 0.95) == 7.0
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
