"""Where we are in a log, so that a new connection goes on without repeating anything."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterable, Iterator

from agent.protocol.containers import LogLine

_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))"
)


class LogPlace:
    """The newest lines that were seen: their time, and how many bear it."""

    def __init__(self, since: str | None) -> None:
        self.since = since
        """What to ask for: what the person asked at first, then the time of the newest line."""
        self.seen = 0
        """How many lines were new, on all connections."""
        self._newest: int | None = None
        self._count = 0
        self._to_skip = 0
        self._skipping = False

    @property
    def nothing_seen(self) -> bool:
        return self._newest is None

    def resume(self) -> None:
        """A new connection begins, with `since` as its start."""
        self._to_skip = self._count
        self._skipping = self._newest is not None

    def new(self, batch: Iterable[LogLine]) -> Iterator[LogLine]:
        """Those lines of this connection that no connection before has brought."""
        for line in batch:
            at = moment(line.at)
            if self._is_old(at):
                continue
            if at is not None and (self._newest is None or at > self._newest):
                self._newest, self._count, self.since = at, 1, line.at
            elif at == self._newest:
                self._count += 1
            self.seen += 1
            yield line

    def _is_old(self, at: int | None) -> bool:
        """Runtimes begin with what bears the very time asked for, some a little before it.

        Only the beginning is looked at: a clock that is set back is no reason to lose lines.
        """
        if not self._skipping or at is None or self._newest is None:
            return False
        if at < self._newest:
            return True
        if at == self._newest and self._to_skip:
            self._to_skip -= 1
            self._skipping = self._to_skip > 0
            return True
        self._skipping = False
        return False


def moment(text: str | None) -> int | None:
    """RFC 3339 as nanoseconds since 1970; None where it is not that."""
    match = _MOMENT.fullmatch(text or "")
    if match is None:
        return None
    whole, fraction, sign, hours, minutes = match.groups()
    try:
        seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return None
    if sign:
        offset = 3600 * int(hours) + 60 * int(minutes)
        seconds -= offset if sign == "+" else -offset
    return seconds * 10**9 + int((fraction or "").ljust(9, "0"))
