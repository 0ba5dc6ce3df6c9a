"""Going on in a log without repeating anything."""

from __future__ import annotations

import pytest

from agent.protocol.containers import LogLine
from console.cli.log_place import LogPlace, moment


def lines(*stamped: str) -> list[LogLine]:
    """`"1 a"` is the line "a" of second 1."""
    return [
        LogLine(text=text, at=f"2026-05-04T13:06:0{second}.000000001Z")
        for second, text in (each.split() for each in stamped)
    ]


def texts(place: LogPlace, batch: list[LogLine]) -> list[str]:
    return [line.text for line in place.new(batch)]


def test_a_new_connection_repeats_nothing_and_loses_nothing() -> None:
    place = LogPlace("15m")
    assert texts(place, lines("1 a", "2 b", "2 c")) == ["a", "b", "c"]
    assert place.since == "2026-05-04T13:06:02.000000001Z"
    place.resume()
    assert texts(place, lines("2 b")) == []
    assert texts(place, lines("2 c", "2 d", "3 e")) == ["d", "e"]
    place.resume()
    # Podman looks at whole seconds only.
    assert texts(place, lines("1 a", "2 d", "3 e", "3 f")) == ["f"]


def test_lines_of_one_time_that_come_in_two_connections() -> None:
    place = LogPlace(None)
    assert texts(place, lines("1 a", "1 b")) == ["a", "b"]
    place.resume()
    assert texts(place, lines("1 a", "1 b", "1 c")) == ["c"]
    place.resume()
    assert texts(place, lines("1 a", "1 b", "1 c", "1 d")) == ["d"]


def test_a_clock_that_is_set_back_loses_no_lines() -> None:
    place = LogPlace(None)
    assert texts(place, lines("5 a", "1 b", "2 c", "6 d")) == ["a", "b", "c", "d"]
    place.resume()
    assert texts(place, lines("6 d", "1 e", "7 f")) == ["e", "f"]


def test_lines_without_a_time_are_always_new() -> None:
    place = LogPlace(None)
    assert texts(place, [LogLine(text="x"), LogLine(text="y", at="nonsense")]) == ["x", "y"]
    assert (place.since, place.nothing_seen) == (None, True)
    place.resume()
    assert texts(place, lines("1 a")) == ["a"]


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T00:00:01.5Z", 1_500_000_000),
        ("1970-01-01T02:00:00.000000001+02:00", 1),
        ("1969-12-31T23:00:00-01:00", 0),
        ("1970-13-01T00:00:00Z", None),
        ("yesterday", None),
        (None, None),
    ],
)
def test_moments(text: str | None, nanoseconds: int | None) -> None:
    assert moment(text) == nanoseconds
