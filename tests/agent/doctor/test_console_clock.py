"""What a console told of its time."""

from __future__ import annotations

import pytest

from agent.doctor.console_clock import DRIFT, KEPT_SECONDS, ConsoleClock, boot_seconds


class Times:
    """A wall clock that can be set, and the time since boot."""

    def __init__(self) -> None:
        self.wall, self.boot = 1_760_000_000.0, 50.0

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.boot += seconds


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def clock(times: Times) -> ConsoleClock:
    return ConsoleClock(wall=lambda: times.wall, since_boot=lambda: times.boot)


def test_nothing_told(clock: ConsoleClock) -> None:
    assert clock.offset() is None


def test_what_was_told_stands_and_grows_less_certain(clock: ConsoleClock, times: Times) -> None:
    clock.tell(7.0, 0.5)
    times.pass_by(1000.0)
    offset = clock.offset()
    assert offset is not None
    assert offset.seconds == pytest.approx(7.0)
    assert offset.uncertainty_seconds == pytest.approx(0.5 + 1000 * DRIFT)


def test_a_clock_that_was_set_since_is_followed(clock: ConsoleClock, times: Times) -> None:
    clock.tell(3600.0, 0.5)
    times.pass_by(10.0)
    times.wall -= 3599.5  # somebody set it right
    offset = clock.offset()
    assert offset is not None
    assert offset.seconds == pytest.approx(0.5)


def test_after_a_day_nobody_knows(clock: ConsoleClock, times: Times) -> None:
    clock.tell(7.0, 0.5)
    times.pass_by(KEPT_SECONDS + 1)
    assert clock.offset() is None


def test_the_time_since_boot_is_this_machines() -> None:
    assert boot_seconds() > 0
