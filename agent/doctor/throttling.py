"""The last minute of throttle reasons, so that a moment's throttling is no finding."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from agent.protocol.gpus import GpuSample

WINDOW_SECONDS = 60.0


class ThrottleMoment(msgspec.Struct, frozen=True):
    """The throttle reasons of every GPU at one moment, by UUID."""

    at: float
    reasons: dict[str, tuple[str, ...]]


class ThrottleWindow:
    """Keeps `WINDOW_SECONDS` of samples' throttle reasons; feed it with every sample."""

    def __init__(self) -> None:
        self._moments: deque[ThrottleMoment] = deque()

    def add(self, at: float, samples: Iterable[GpuSample]) -> None:
        """Take the samples of moment `at`, in seconds. A GPU that does not tell is left out."""
        if self._moments and at < self._moments[-1].at:
            self._moments.clear()  # the clock was set back
        self._moments.append(
            ThrottleMoment(
                at,
                {s.uuid: tuple(s.throttle) for s in samples if "throttle" not in s.unknown},
            )
        )
        while at - self._moments[0].at > WINDOW_SECONDS:
            self._moments.popleft()

    def moments(self) -> tuple[ThrottleMoment, ...]:
        """What is kept, oldest first."""
        return tuple(self._moments)
