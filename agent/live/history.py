"""Figures over time in fixed arrays: ten minutes by the second, a day by the minute."""

from __future__ import annotations

import math
from array import array
from typing import Literal, Protocol

from agent.protocol.telemetry import Metric, Series

SECONDS = 600
MINUTES = 24 * 60
Resolution = Literal["1s", "1m"]

_NONE = math.nan  # inside the arrays only; None outside


class Ring:
    """The last `size` values, 4 bytes each."""

    def __init__(self, size: int) -> None:
        self._values = array("f", [_NONE]) * size
        self._next = 0

    def put(self, value: float | None) -> None:
        self._values[self._next] = _NONE if value is None else value
        self._next = (self._next + 1) % len(self._values)

    def last(self, count: int) -> list[float | None]:
        """The newest `count` values, oldest first."""
        size = len(self._values)
        count = min(count, size)
        start = (self._next - count) % size
        picked = (self._values[(start + i) % size] for i in range(count))
        return [None if math.isnan(value) else value for value in picked]


class Track:
    """One metric of one subject."""

    def __init__(self) -> None:
        self.seconds = Ring(SECONDS)
        self.p50, self.p95, self.max = Ring(MINUTES), Ring(MINUTES), Ring(MINUTES)

    def close_minute(self) -> None:
        """Put the minute that just ended into the minute rings."""
        known = sorted(v for v in self.seconds.last(60) if v is not None)
        self.p50.put(quantile(known, 0.50))
        self.p95.put(quantile(known, 0.95))
        self.max.put(known[-1] if known else None)


def quantile(ordered: list[float], share: float) -> float | None:
    """The nearest-rank quantile of values in ascending order; None of an empty list."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class HistorySource(Protocol):
    """Where the sampler puts its values and the handlers get series from."""

    def put(self, values: dict[tuple[str, Metric], float | None]) -> None:
        """One second's values, by subject and metric."""

    def series(
        self,
        resolution: Resolution,
        *,
        metric: Metric | None = None,
        subject: str | None = None,
        count: int | None = None,
    ) -> list[Series]:
        """The tracks that fit, each with its newest `count` values (all unless said)."""

    def age_seconds(self, resolution: Resolution) -> int:
        """How long before the newest sample the newest value's time ended."""


class HistoryStore:
    """Every metric of every subject, fed once a second.

    A subject that is not fed any more keeps its tracks for the day they cover and is then
    dropped, so that a GPU that is lost can still be looked at.
    """

    def __init__(self) -> None:
        self._tracks: dict[tuple[str, Metric], Track] = {}
        self._last_fed: dict[str, int] = {}
        self._ticks = 0

    def put(self, values: dict[tuple[str, Metric], float | None]) -> None:
        """One second's values. A track that is not named gets a gap."""
        self._ticks += 1
        for key in values:
            if key not in self._tracks:
                self._tracks[key] = Track()
            self._last_fed[key[0]] = self._ticks
        for key, track in self._tracks.items():
            track.seconds.put(values.get(key))
        if self._ticks % 60 == 0:
            for track in self._tracks.values():
                track.close_minute()
            self._drop_old()

    def series(
        self,
        resolution: Resolution,
        *,
        metric: Metric | None = None,
        subject: str | None = None,
        count: int | None = None,
    ) -> list[Series]:
        """The tracks that fit, each with its newest `count` values (all unless said)."""
        found = []
        for (owner, name), track in sorted(self._tracks.items()):
            if (metric and name != metric) or (subject and owner != subject):
                continue
            if resolution == "1s":
                values = track.seconds.last(min(count or SECONDS, self._ticks))
                found.append(Series(subject=owner, metric=name, values=values))
            else:
                wanted = min(count or MINUTES, self._ticks // 60)
                found.append(
                    Series(
                        subject=owner,
                        metric=name,
                        values=track.p50.last(wanted),
                        p95=track.p95.last(wanted),
                        max=track.max.last(wanted),
                    )
                )
        return found

    def age_seconds(self, resolution: Resolution) -> int:
        """A minute is told once it is over."""
        return self._ticks % 60 if resolution == "1m" else 0

    def _drop_old(self) -> None:
        oldest = self._ticks - MINUTES * 60
        for subject in [s for s, tick in self._last_fed.items() if tick < oldest]:
            del self._last_fed[subject]
            for key in [key for key in self._tracks if key[0] == subject]:
                del self._tracks[key]
