"""Points in time, read and written without losing nanoseconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.containers.moments import (
    parse_moment,
    rfc3339_nanoseconds,
    rfc3339_text,
    unix_seconds,
    unix_text,
)
from agent.protocol.problems import ProblemError

NOW = 1_800_000_000.0
NS = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("2026-11-21T07:47:26.777023509Z", 1795247246777023509),
        ("2026-11-21t08:47:26+01:00", 1795247246 * NS),
        ("2026-11-21 07:47:26.5z", 1795247246 * NS + NS // 2),
        ("1795247246", 1795247246 * NS),
        ("1795247246.000000001", 1795247246 * NS + 1),
        ("0", 0),
        ("15", 15 * NS),
        ("15m", int(NOW - 900) * NS),
        ("1h30m", int(NOW - 5400) * NS),
        ("1.5s", int(NOW * NS) - 3 * NS // 2),
        (" 2d ", int(NOW - 2 * 86400) * NS),
        ("99999999d", 0),
    ],
)
def test_every_way_to_write_a_moment(text: str, nanoseconds: int) -> None:
    assert parse_moment(text, now=NOW) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "yesterday", "15x", "2026-13-01T00:00:00Z", "2026-11-21", "-5m", "1e9", "٣m"]
)
def test_what_is_no_moment_is_told(text: str) -> None:
    with pytest.raises(ProblemError) as raised:
        parse_moment(text, now=NOW)
    assert raised.value.code == "request.invalid"
    assert raised.value.hint


@given(st.integers(min_value=0, max_value=4_000_000_000 * NS))
def test_no_nanosecond_is_lost_on_the_way(nanoseconds: int) -> None:
    assert rfc3339_nanoseconds(rfc3339_text(nanoseconds)) == nanoseconds
    assert parse_moment(unix_text(nanoseconds), now=NOW) == nanoseconds


def test_the_year_one_was_never() -> None:
    assert unix_seconds("0001-01-01T00:00:00Z") is None
    assert unix_seconds(None) is None
    assert unix_seconds("2026-11-21T07:47:26.5Z") == 1795247246.5
