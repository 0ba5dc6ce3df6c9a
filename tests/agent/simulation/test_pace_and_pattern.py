"""How often figures change, and how they go through the day."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agent.simulation.pace import Pace
from agent.simulation.pattern import Pattern

NOW = 1_780_000_000
HOUR = 3600


@pytest.mark.parametrize("fraction", [0.02, 0.2, 0.37, 1.0])
def test_the_fraction_is_that_of_nodes_in_a_second_and_of_seconds_of_a_node(
    fraction: float,
) -> None:
    paces = [Pace(fraction, phase=number / 1000) for number in range(1000)]
    in_a_second = sum(pace.due(NOW) for pace in paces)
    of_a_node = sum(paces[7].due(NOW + second) for second in range(1000))
    assert in_a_second == pytest.approx(1000 * fraction, abs=2)
    assert of_a_node == pytest.approx(1000 * fraction, abs=2)


@pytest.mark.parametrize("fraction", [0.02, 0.2, 0.37, 1.0])
def test_last_is_the_latest_second_that_was_due(fraction: float) -> None:
    pace = Pace(fraction, phase=0.123)
    latest = next(second for second in range(NOW, NOW - 200, -1) if pace.due(second))
    for second in range(NOW, NOW + 200):
        if pace.due(second):
            latest = second
        assert pace.last(second) == latest


def test_nothing_changes_at_fraction_zero() -> None:
    pace = Pace(0.0, phase=0.0)
    assert not any(pace.due(NOW + second) for second in range(100))
    assert pace.last(NOW) is None


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_what_is_no_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction"):
        Pace(fraction, phase=0.0)


def test_a_pattern_is_a_function_of_seed_and_time() -> None:
    times = [NOW + 97 * step for step in range(1000)]
    one, same, other = (Pattern(seed, peak=0.8) for seed in ("a", "a", "b"))
    assert [one.load(at) for at in times] == [same.load(at) for at in times]
    assert [one.load(at) for at in times] != [other.load(at) for at in times]
    assert all(0 <= one.load(at) <= 1 and 0 <= one.heat(at) <= 1 for at in times)


def test_the_day_is_busier_than_the_night_and_goes_by_the_time_zone() -> None:
    midnight = NOW - NOW % (24 * HOUR)
    pattern = Pattern("a", peak=0.8)
    east = Pattern("a", peak=0.8, utc_offset_seconds=12 * HOUR)
    assert pattern.daily(midnight + 9 * HOUR) > 2 * pattern.daily(midnight + 2 * HOUR)
    assert east.daily(midnight + 9 * HOUR) < east.daily(midnight + 21 * HOUR)


def test_the_load_has_no_jumps() -> None:
    pattern = Pattern("a", peak=0.9)
    loads = [pattern.load(NOW + second) for second in range(24 * HOUR)]
    steps = [abs(after - before) for before, after in pairwise(loads)]
    assert max(steps) < 0.05
