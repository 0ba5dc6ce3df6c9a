"""Counts what a proxy's log tells, per arm and window, and whether all of it came."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import cast

from agent.protocol.arms import ArmName, ConnectionFigures, RequestFigures, bucket_of
from agent.protocol.workloads import Mode
from agent.traffic.admin import Counters
from agent.traffic.lines import Answer
from agent.traffic.state import is_tcp
from agent.traffic.traffic import Window

ARMS: tuple[ArmName, ...] = ("stable", "candidate")
BACKEND = "BACKEND"
NOBODY = "<NOSRV>"  # as the log has it
# Lines that are on their way when the counters are read.
ARRIVE_SECONDS = 1.0
# By how many the two counts may differ although no line was lost: both look at a moment.
SLACK = 2


class Tally:
    """The figures of one proxy.

    An arm's errors are its answers that failed, and the requests that another container got
    because no connection to this one could be made: no line tells those, a counter does. Where one
    arm is to have all requests, those that no container took are its errors, too.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._window: Window | None = None
        self._arms: dict[ArmName, RequestFigures] = {}
        self._counted: deque[int] = deque()  # when the answers ended that came lately, in order
        self._lines = 0  # that came, of answers that ended since `_from`
        self._from: int | None = None  # microseconds since 1970
        self._base = 0  # answers by the proxy's counters then
        self._redispatched: dict[str, int] = {}  # as last seen, by slot
        # Of TCP: made and failed, as first seen in this window; and since then.
        self._before: dict[ArmName, tuple[int, int]] = {}
        self._connections: dict[ArmName, ConnectionFigures] = {}
        self._look: tuple[int, int] | None = None  # answers by the last look's counters, and when
        self._lost = 0  # lines, since `_from`
        self._lost_before = 0  # in windows before this one

    def begin(self, weight: int, arms: tuple[ArmName, ...]) -> None:
        """A new window: from now on, at this weight."""
        self._lost_before = self._lost
        self._arms = {name: RequestFigures() for name in arms}
        self._before, self._connections = {}, {}
        self._window = Window(
            id=secrets.token_hex(6), since=self._clock(), weight=weight, arms=self._arms
        )

    def end(self) -> None:
        """There is nothing to compare any more."""
        self._window = None

    def restarted(self) -> None:
        """The proxy is another one: its counters began anew, and so does the window."""
        self._from, self._lines, self._base, self._look = None, 0, 0, None
        self._redispatched, self._lost = {}, 0
        self._counted.clear()
        if self._window is not None:
            self.begin(self._window.weight, tuple(self._arms))

    def take(self, answer: Answer) -> None:
        """One answer, as the log tells it."""
        if self._from is not None and answer.ended >= self._from:
            self._lines += 1
            self._counted.append(answer.ended)
        if self._window is None or answer.began < self._window.since * 1e6:
            return
        figures = self._arms.get(cast("ArmName", self._whose(answer)))
        if figures is None:
            return
        figures.requests += 1
        if answer.error:
            figures.errors += 1
        if answer.microseconds is not None:
            bucket = bucket_of(answer.microseconds / 1e6)
            figures.latency[bucket] = figures.latency.get(bucket, 0) + 1

    def _whose(self, answer: Answer) -> str:
        """Requests that fail as there is nobody to take them are of whoever was to get them all."""
        if answer.server == NOBODY and answer.error and self._window is not None:
            return {0: "stable", 100: "candidate"}.get(self._window.weight, NOBODY)
        return answer.server

    def look(self, counters: Mapping[tuple[str, str], Counters]) -> None:
        """Compare with the proxy's counters, just read."""
        now = round(self._clock() * 1e6)
        answered = sum(each.responses for (_, name), each in counters.items() if name == BACKEND)
        if self._from is None:
            self._from, self._base, self._lines = now, answered, 0
        if self._look is None or now - self._look[1] >= ARRIVE_SECONDS * 1e6:
            self._compare()
            self._look = (answered, now)
        for arm in ARMS:
            there = sum(each.redispatched for (_, name), each in counters.items() if name == arm)
            before = self._redispatched.get(arm, there)
            self._redispatched[arm] = there
            if arm in self._arms and there > before:
                self._arms[arm].requests += there - before
                self._arms[arm].errors += there - before

        self._look_at_connections(counters)

    def _look_at_connections(self, counters: Mapping[tuple[str, str], Counters]) -> None:
        for arm in self._arms:
            there = [each for (to, name), each in counters.items() if name == arm and is_tcp(to)]
            if not there:
                continue
            made = sum(each.connections for each in there)
            failed = sum(each.failed for each in there)
            before = self._before.setdefault(arm, (made, failed))
            self._connections[arm] = ConnectionFigures(
                connections=made - before[0],
                failed=failed - before[1],
                open=sum(each.sessions for each in there),
            )

    def window(
        self, *, unknown: str | None = None, modes: Mapping[int, Mode] | None = None
    ) -> Window | None:
        """As it is now; a copy. `modes`: of published ports that are not HTTP."""
        if self._window is None:
            return None
        return Window(
            id=self._window.id,
            since=self._window.since,
            weight=self._window.weight,
            arms={
                name: RequestFigures(
                    requests=each.requests, errors=each.errors, latency=dict(each.latency)
                )
                for name, each in self._arms.items()
            },
            lost=max(0, self._lost - self._lost_before),
            unknown=unknown,
            modes=dict(modes or {}),
            connections=dict(self._connections),
        )

    def _compare(self) -> None:
        """Count the lines that did not come, of answers that had ended at the look before this."""
        if self._look is None:
            return
        answered, until = self._look
        later = sum(1 for ended in self._counted if ended > until)
        lost = answered - self._base - (self._lines - later)
        if lost > SLACK:
            self._lost = max(self._lost, lost)
        while self._counted and self._counted[0] <= until:
            self._counted.popleft()
