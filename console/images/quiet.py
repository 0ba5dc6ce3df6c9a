"""Quiet hours: hours of the day in which nothing is sent, because others need the link.

They are by the wall clock of the node's own time zone; what time it is says this console's clock.
"""

from __future__ import annotations

import re
import time
import zoneinfo
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from agent.protocol.problems import ProblemError

DAY_MINUTES = 24 * 60
# In the night in which an hour comes twice, an end may be over and the hour not.
LEAST_SECONDS = 30.0
_SPAN = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")


class Span(NamedTuple):
    """Minutes of the day; where the end is not after the begin, it is on the next day."""

    begin: int
    end: int

    def has(self, minute: int) -> bool:
        """Whether that minute is quiet."""
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end


QuietHours = tuple[Span, ...]


def parse_quiet(texts: Sequence[str]) -> QuietHours:
    """Of `06:00-22:00`, `22:00-06:00`; none at all where there are no texts.

    Raises:
        ProblemError: `console.usage`.
    """
    spans = tuple(map(_span, texts))
    if spans and all(any(span.has(minute) for span in spans) for minute in range(DAY_MINUTES)):
        raise ProblemError(
            "console.usage",
            f"nothing could ever be sent: all of the day is quiet ({', '.join(texts)})",
            hint="Leave an hour in which it may.",
        )
    return spans


def _span(text: str) -> Span:
    match = _SPAN.fullmatch(text.strip())
    if match is not None:
        hour, minute, end_hour, end_minute = map(int, match.groups())
        begin, end = hour * 60 + minute, end_hour * 60 + end_minute
        if max(begin, end) <= DAY_MINUTES and max(minute, end_minute) < 60 and begin != end:
            return Span(begin % DAY_MINUTES, end % DAY_MINUTES)
    raise ProblemError(
        "console.usage",
        f"{text[:40]!r} are no hours of the day",
        hint="Write them as 06:00-22:00, or over midnight as 22:00-06:00.",
    )


class Quiet:
    """The quiet hours of one node. Who knows its `zone` (IANA) says so; None: this console's."""

    def __init__(self, hours: QuietHours, *, clock: Callable[[], float] = time.time) -> None:
        self._hours, self._clock = hours, clock
        self.zone: str | None = None

    @property
    def seconds_left(self) -> float:
        """Until they are over; 0: it is not quiet now."""
        now = self._clock()
        ends = [span for span in self._hours if span.has(_minute(self._local(now)))]
        if not ends:
            return 0.0
        return max(LEAST_SECONDS, *(self._end(span, now) - now for span in ends))

    @property
    def text(self) -> str:
        """ "quiet hours until 22:00 (Europe/Berlin)"; "" where it is not quiet now."""
        left = self.seconds_left
        if not left:
            return ""
        end = self._local(self._clock() + left)
        zone = self.zone if self._zone() is not None else "this console's time"
        return f"quiet hours until {end:%H:%M} ({zone})"

    def _end(self, span: Span, now: float) -> float:
        local = self._local(now)
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        if span.begin >= span.end and _minute(local) >= span.begin:
            midnight += timedelta(days=1)
        hour, minute = divmod(span.end, 60)
        return midnight.replace(hour=hour, minute=minute).timestamp()

    def _local(self, at: float) -> datetime:
        return datetime.fromtimestamp(at, self._zone())

    def _zone(self) -> tzinfo | None:
        try:
            return None if self.zone is None else zoneinfo.ZoneInfo(self.zone)
        except (
            zoneinfo.ZoneInfoNotFoundError,
            ValueError,
            OSError,
        ):  # this machine does not know it
            return None


def _minute(local: datetime) -> int:
    return local.hour * 60 + local.minute
