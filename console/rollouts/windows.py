"""Maintenance windows: when a node may change, by its own wall clock.

A window opens at each minute that its cron expression names, in an IANA zone, and stays open for a
duration. What counts is the clock of the console's host and that zone, never a node's clock. An
opening in the hour that summer time skips is as if nobody had set the clock: the same length after
the last one. One in the hour that comes twice is in the first of the two.
"""

from __future__ import annotations

import math
import zoneinfo
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import NamedTuple

import msgspec

from console.rollouts.cron import BadCronError, Cron, parse_cron

# Every day that a calendar can have comes within this; 29 February of 2096 and 2104 is the longest.
HORIZON_DAYS = 8 * 366 + 1
LONGEST_SECONDS = 7 * 86400.0
_DAY_SECONDS = 86400.0


class BadZoneError(ValueError):
    """No zone of this machine has that name."""


class Window(msgspec.Struct, kw_only=True, frozen=True):
    """When nodes may begin to change; what has begun is finished after it, too."""

    cron: str
    duration: float  # seconds
    zone: str | None = None  # IANA; None: each node's own

    def __str__(self) -> str:
        return f"{self.cron} ({self.zone or 'each node by its own clock'})"


class Opening(NamedTuple):
    """A window in one zone, ready to be asked. Times are Unix seconds."""

    cron: Cron
    duration: float
    zone: zoneinfo.ZoneInfo

    def is_open(self, now: float) -> bool:
        """Whether one of its openings is less than its duration ago."""
        today = self._date(now)
        back = math.ceil(self.duration / _DAY_SECONDS) + 1
        return any(
            now - self.duration < at <= now
            for days in range(-1, back + 1)
            for at in self._on(today - timedelta(days=days))
        )

    def next_after(self, now: float) -> float | None:
        """When it opens next; None: never."""
        day = self._date(now) - timedelta(days=1)
        for _ in range(HORIZON_DAYS):
            later = [at for at in self._on(day) if at > now]
            if later:
                return min(later)
            day += timedelta(days=1)
        return None

    def _date(self, now: float) -> date:
        return datetime.fromtimestamp(now, self.zone).date()

    def _on(self, day: date) -> Iterator[float]:
        if not self.cron.on(day):
            return
        for hour in self.cron.hours:
            for minute in self.cron.minutes:
                local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
                yield local.astimezone(timezone.utc).timestamp()


def opening(window: Window, zone: str) -> Opening:
    """The window where that is the zone, unless it has one of its own.

    Raises:
        BadCronError, BadZoneError: in words.
    """
    name = window.zone or zone
    try:
        found = zoneinfo.ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # not there, a folder, a path
        raise BadZoneError(f"this machine knows no zone {name!r}") from None
    return Opening(parse_cron(window.cron), window.duration, found)


class Windows:
    """A rollout's windows by zone, each worked out once a minute at most."""

    def __init__(self, window: Window | None) -> None:
        self._window = window
        self._openings: dict[str, Opening] = {}
        self._said: dict[str, tuple[float, str | None]] = {}

    def why_closed(self, zone: str | None, now: float) -> str | None:
        """Why a node in that zone is to wait, with when it need not any more; None: it is open."""
        if self._window is None:
            return None
        name = self._window.zone or zone or "UTC"
        minute = now // 60
        said = self._said.get(name)
        if said is None or said[0] != minute:
            said = self._said[name] = (minute, self._why_closed(self._window, name, minute * 60))
        return said[1]

    def _why_closed(self, window: Window, zone: str, now: float) -> str | None:
        try:
            found = self._openings.get(zone) or opening(window, zone)
        except (BadCronError, BadZoneError) as error:
            return f"its window cannot be worked out: {error}"
        self._openings[zone] = found
        if found.is_open(now):
            return None
        opens = found.next_after(now)
        if opens is None:
            return "its window never opens"
        at = datetime.fromtimestamp(opens, found.zone).strftime("%Y-%m-%d %H:%M")
        return f"its window opens at {at} {zone}"
