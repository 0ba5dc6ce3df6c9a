"""When nodes may change: cron, durations, zones and the nights when clocks are set."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.rollouts.cron import BadCronError, parse_cron
from console.rollouts.windows import BadZoneError, Opening, Window, opening

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600.0


def window(cron: str, hours: float = 1, zone: str = "Europe/Berlin") -> Opening:
    return opening(Window(cron=cron, duration=hours * HOUR), zone)


def at(text: str, zone: ZoneInfo = BERLIN, *, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def local(moment: float | None, zone: ZoneInfo = BERLIN) -> str:
    assert moment is not None
    return datetime.fromtimestamp(moment, zone).isoformat(timespec="minutes")


@pytest.mark.parametrize(
    ("text", "field", "numbers"),
    [
        ("* * * * *", 0, range(60)),
        ("*/20 * * * *", 0, [0, 20, 40]),
        ("5-9/2 * * * *", 0, [5, 7, 9]),
        ("50/3 * * * *", 0, [50, 53, 56, 59]),
        ("1,3-4 * * * *", 0, [1, 3, 4]),
        ("0 22-23,0-1 * * *", 1, [0, 1, 22, 23]),
        ("0 0 31 * *", 2, [31]),
        ("0 0 * JAN,mar-may *", 3, [1, 3, 4, 5]),
        ("0 0 * * mon-FRI", 4, [1, 2, 3, 4, 5]),
        ("0 0 * * 0", 4, [0]),
        ("0 0 * * 7", 4, [0]),
        ("0 0 * * 5-7", 4, [0, 5, 6]),
    ],
)
def test_fields(text: str, field: int, numbers: list[int]) -> None:
    assert parse_cron(text)[field] == frozenset(numbers)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 fields"),
        ("0 22 * *", "4 fields"),
        ("0 22 * * * *", "6 fields"),
        ("60 * * * *", "'60' is no minute: 0 to 59"),
        ("* 24 * * *", "'24' is no hour"),
        ("* * 0 * *", "'0' is no day of the month"),
        ("* * * 13 *", "'13' is no month"),
        ("* * * * 8", "'8' is no day of the week"),
        ("* * * * monday", "'monday' is no day of the week"),
        ("mon * * * *", "'mon' is no minute"),
        ("5-1 * * * *", "'5-1' ends before it begins"),
        ("*/0 * * * *", "step of 0"),
        ("*-3 * * * *", "is no minute"),
        ("1,,2 * * * *", "'' is no minute"),
        ("-1 * * * *", "'-1' is no minute"),
        ("@daily", "1 fields"),
        ("\u0663 * * * *", "is no minute"),  # a digit, and none of ours
    ],
)
def test_what_is_no_expression(text: str, words: str) -> None:
    with pytest.raises(BadCronError, match=words.replace("*", r"\*")):
        parse_cron(text)


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "", "/etc/passwd", "../x", "Europe", "a\0b"])
def test_what_is_no_zone(zone: str) -> None:
    with pytest.raises(BadZoneError, match="knows no zone"):
        window("0 2 * * *", zone=zone)


def test_a_night_on_working_days() -> None:
    found = window("0 22 * * mon-fri", 6)
    friday = "2026-11-20"
    assert not found.is_open(at(f"{friday}T21:59:59"))
    assert found.is_open(at(f"{friday}T22:00:00"))
    assert found.is_open(at("2026-11-21T03:59:59"))  # Saturday, from Friday's opening
    assert not found.is_open(at("2026-11-21T04:00:00"))
    assert not found.is_open(at("2026-11-21T23:00:00"))
    assert local(found.next_after(at("2026-11-21T04:00:00"))) == "2026-11-23T22:00+01:00"
    assert local(found.next_after(at(f"{friday}T21:59:59"))) == f"{friday}T22:00+01:00"


def test_each_node_has_its_own_night() -> None:
    tokyo = window("0 2 * * *", 2, "Asia/Tokyo")
    now = at("2026-11-20T17:30:00", ZoneInfo("UTC"))  # 02:30 there, 18:30 in Berlin
    assert tokyo.is_open(now)
    assert not window("0 2 * * *", 2).is_open(now)
    # A zone that the window has of its own is for all.
    assert opening(Window(cron="0 2 * * *", duration=2 * HOUR, zone="Asia/Tokyo"), "UTC").is_open(
        now
    )


def test_days_of_month_and_week_are_either_as_in_cron() -> None:
    both = window("0 0 13 * fri")
    opens = [local(both.next_after(at(f"2026-11-{day}T12:00"))) for day in ("10", "14", "25")]
    assert opens == ["2026-11-13T00:00+01:00", "2026-11-20T00:00+01:00", "2026-11-27T00:00+01:00"]
    assert local(both.next_after(at("2026-12-11T12:00"))) == "2026-12-13T00:00+01:00"  # a Sunday
    only = window("0 0 */13 * fri")  # a star restricts no day of its own: both are to hold
    assert local(only.next_after(at("2026-11-10T12:00"))) == "2026-11-27T00:00+01:00"


def test_a_window_longer_than_a_day() -> None:
    weekend = window("0 18 * * fri", 60)
    assert weekend.is_open(at("2026-11-23T05:59"))
    assert not weekend.is_open(at("2026-11-23T06:01"))


def test_it_opens_on_leap_days_and_never_on_days_that_are_none() -> None:
    leap = window("0 0 29 2 *")
    assert local(leap.next_after(at("2026-11-21T00:00"))) == "2028-02-29T00:00+01:00"
    assert local(leap.next_after(at("2096-03-01T00:00"))) == "2104-02-29T00:00+01:00"
    assert window("0 0 30 2 *").next_after(at("2026-11-21T00:00")) is None
    assert window("0 0 31 4,6,9,11 *").next_after(at("2026-11-21T00:00")) is None


def test_the_hour_that_is_skipped_in_spring_is_not_lost() -> None:
    # 2026-03-29: after 01:59:59 comes 03:00.
    found = window("30 2 * * *", 1)
    (opens,) = [moment for moment in [found.next_after(at("2026-03-29T00:00"))] if moment]
    assert local(opens) == "2026-03-29T03:30+02:00"
    assert opens - at("2026-03-28T02:30") == 24 * HOUR
    assert found.is_open(opens)
    assert found.is_open(opens + HOUR - 1)
    assert not found.is_open(opens + HOUR)
    assert local(found.next_after(opens)) == "2026-03-30T02:30+02:00"


def test_the_hour_that_comes_twice_in_autumn_opens_once() -> None:
    # 2026-10-25: after 02:59:59 +02:00 comes 02:00 +01:00.
    found = window("30 2 * * *", 0.5)
    first, second = at("2026-10-25T02:30"), at("2026-10-25T02:30", fold=1)
    assert second - first == HOUR
    assert found.is_open(first)
    assert not found.is_open(second)
    assert local(found.next_after(first)) == "2026-10-26T02:30+01:00"


def test_a_window_over_the_change_is_as_long_as_it_says() -> None:
    found = window("0 1 * * *", 4)
    for night in ("2026-03-29", "2026-10-25", "2026-11-21"):
        opens = at(f"{night}T01:00")
        assert found.is_open(opens + 4 * HOUR - 1)
        assert not found.is_open(opens + 4 * HOUR)


def test_zones_of_half_hours_and_a_date_line() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")  # its clock is set by 30 minutes
    found = window("15 2 * * *", 0.5, "Australia/Lord_Howe")
    opens = found.next_after(at("2026-10-04T00:00", lord_howe))
    assert local(opens, lord_howe) == "2026-10-04T02:45+11:00"
    apia = ZoneInfo("Pacific/Apia")  # had no 30 December 2011
    skipped = window("0 12 30 12 *", 1, "Pacific/Apia")
    moment = skipped.next_after(at("2011-12-29T00:00", apia))
    assert local(moment, apia) == "2011-12-31T12:00+14:00"


ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia",
         "Australia/Lord_Howe", "Africa/Casablanca")  # fmt: skip


@given(
    zone=st.sampled_from(ZONES),
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    weekdays=st.sets(st.integers(0, 6), min_size=1),
    minutes_long=st.integers(1, 36 * 60),
    now=st.integers(1_324_339_200, 1_893_456_000),  # from 20 December 2011 to 2030
)
def test_it_is_open_from_its_opening_for_its_duration(
    zone: str, minute: int, hour: int, weekdays: set[int], minutes_long: int, now: int
) -> None:
    days = ",".join(map(str, sorted(weekdays)))
    found = window(f"{minute} {hour} * * {days}", minutes_long / 60, zone)
    opens = found.next_after(now)
    assert opens is not None
    assert opens > now
    assert found.is_open(opens)
    assert found.is_open(opens + minutes_long * 60 - 1)
    later = found.next_after(opens + minutes_long * 60)
    assert later is not None
    between = found.next_after(opens)
    if between == later:
        assert not found.is_open(opens + minutes_long * 60)
    # Where no clock was set that day, it opens at just that time of the day.
    there = datetime.fromtimestamp(opens, ZoneInfo(zone))
    if there.utcoffset() == (there - timedelta(days=2)).utcoffset():
        assert (there.hour, there.minute) == (hour, minute)
        assert there.isoweekday() % 7 in weekdays


@given(
    cron=st.tuples(
        st.integers(0, 59), st.integers(0, 23), st.integers(1, 31), st.integers(1, 12)
    ).map(lambda parts: f"{parts[0]} {parts[1]} {parts[2]} {parts[3]} *")
)
def test_it_opens_sometime_unless_there_is_no_such_day(cron: str) -> None:
    _, _, day, month, _ = cron.split()
    none = (int(month) == 2 and int(day) > 29) or (int(month) in (4, 6, 9, 11) and day == "31")
    assert (window(cron).next_after(at("2026-11-21T00:00")) is None) == none
