"""The past of a simulated node, computed when it is asked for.

Kept arrays would be 20 KB per metric and GPU: some 300 MB for a thousand nodes, for figures that
are a pure function of the time anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from agent.gpu.simulated import SimulatedGpus
from agent.host.simulated import SimulatedHost
from agent.live.history import MINUTES, SECONDS, Resolution, quantile
from agent.protocol.telemetry import GPU_METRICS, HOST_METRICS, Metric, Series
from agent.simulation.pace import Pace

# A minute's median, p95 and maximum are taken of so many of its seconds.
LOOKS_PER_MINUTE = 3
_HOST_FIELDS = {"cpu_percent": "cpu_percent", "host_memory_used_bytes": "memory_used_bytes"}


class ComputedHistory:
    """A HistorySource that keeps nothing.

    It tells what was published in each second, also of the time before the start, and as if
    the containers that run now had always run.

    Args:
        now: The simulation's time, Unix seconds.
    """

    def __init__(
        self, gpus: SimulatedGpus, host: SimulatedHost, *, pace: Pace, now: Callable[[], float]
    ) -> None:
        self._gpus, self._host = gpus, host
        self._pace = pace
        self._now = now

    def put(self, values: dict[tuple[str, Metric], float | None]) -> None:
        """Nothing is kept."""

    def age_seconds(self, resolution: Resolution) -> int:
        """A minute is told once it is over."""
        return int(self._now()) % 60 if resolution == "1m" else 0

    def series(
        self,
        resolution: Resolution,
        *,
        metric: Metric | None = None,
        subject: str | None = None,
        count: int | None = None,
    ) -> list[Series]:
        """As HistorySource says. A day of minutes takes some 50 ms per GPU."""
        end = int(self._now())
        if resolution == "1s":
            seconds = range(end - min(count or SECONDS, SECONDS) + 1, end + 1)
        else:
            first = end // 60 - min(count or MINUTES, MINUTES)
            step = 60 // LOOKS_PER_MINUTE
            seconds = range(first * 60, end // 60 * 60, step)
        times = [self._pace.last(second) for second in seconds]
        found = []
        held = [end if at is None else at for at in times]
        for owner, name, values in self._tracks(held, subject):
            if metric and name != metric:
                continue
            found.append(
                Series(subject=owner, metric=name, values=values)
                if resolution == "1s"
                else _by_minute(owner, name, values)
            )
        return sorted(found, key=lambda track: (track.subject, track.metric))

    def _tracks(
        self, times: Sequence[int], subject: str | None
    ) -> Iterator[tuple[str, Metric, list[float | None]]]:
        for each in self._gpus.gpus:
            if subject not in (None, each.gpu.uuid):
                continue
            workers = self._gpus.workers_of(each)
            samples: Sequence[msgspec.Struct] = [each.sample(at, workers) for at in times]
            for metric in GPU_METRICS:
                yield each.gpu.uuid, metric, [getattr(sample, metric) for sample in samples]
        if subject not in (None, "host"):
            return
        samples = [self._host.sample_at(at) for at in times]
        for metric in HOST_METRICS:
            field = _HOST_FIELDS[metric]
            yield "host", metric, [getattr(sample, field) for sample in samples]


def _by_minute(owner: str, metric: Metric, values: list[float | None]) -> Series:
    minutes = [
        sorted(value for value in values[start : start + LOOKS_PER_MINUTE] if value is not None)
        for start in range(0, len(values), LOOKS_PER_MINUTE)
    ]
    return Series(
        subject=owner,
        metric=metric,
        values=[quantile(minute, 0.50) for minute in minutes],
        p95=[quantile(minute, 0.95) for minute in minutes],
        max=[minute[-1] if minute else None for minute in minutes],
    )
