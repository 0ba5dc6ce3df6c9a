"""One figure of one window: readings in, `Figure` out."""

from __future__ import annotations

import math
from collections import deque

from agent.protocol.arms import SAMPLES_KEPT, Figure

NOT_YET = "it was not read yet"


class NotMeasuredError(Exception):
    """A reading failed; the text says why, in words.

    Not `broke`: nothing is wrong with the measurement, there was just nothing to measure.
    """

    def __init__(self, why: str, *, broke: bool = True) -> None:
        super().__init__(why)
        self.broke = broke


class Readings:
    """Readings of one figure. A `keep` of them are shown one by one, the newest."""

    def __init__(self, *, keep: int = 0) -> None:
        self._newest: deque[float] = deque(maxlen=min(keep, SAMPLES_KEPT))
        self._count = self._errors = 0
        self._total = 0.0
        self._last: float | None = None
        self._last_at: float | None = None
        self._lowest, self._highest = math.inf, -math.inf
        self._why: str | None = NOT_YET

    def add(self, value: float, at: float) -> None:
        """A good reading, at so many seconds of the window. What is no number is a failed one."""
        if not math.isfinite(value):
            self.fail(NotMeasuredError(f"it is {value}, which is no number"))
            return
        self._count += 1
        self._total += value
        self._last, self._last_at = value, at
        self._lowest, self._highest = min(value, self._lowest), max(value, self._highest)
        self._newest.append(value)
        self._why = None

    def fail(self, error: NotMeasuredError) -> None:
        """A reading that gave no value."""
        self._errors += error.broke
        self._why = str(error)

    def shown(self) -> Figure:
        """As it is told."""
        return Figure(
            count=self._count,
            errors=self._errors,
            last=self._last,
            last_at=self._last_at,
            lowest=self._lowest if self._count else None,
            highest=self._highest if self._count else None,
            mean=self._total / self._count if self._count else None,
            samples=list(self._newest),
            unknown=self._why,
        )
