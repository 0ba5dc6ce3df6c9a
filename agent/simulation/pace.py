"""How often the figures of a simulated node change."""

from __future__ import annotations

import math


class Pace:
    """Spreads changes evenly: of many nodes, `fraction` are due in any second.

    Args:
        fraction: 0 (never) to 1 (each second).
        phase: 0 to 1, different for each node, so that they are not due together.
    """

    def __init__(self, fraction: float, *, phase: float) -> None:
        if not 0.0 <= fraction <= 1.0:
            raise ValueError(f"{fraction} is not a fraction from 0 to 1")
        self._fraction = fraction
        self._phase = phase

    def due(self, second: int) -> bool:
        """Whether the figures change in that second."""
        return self._place(second) < self._fraction

    def last(self, second: int) -> int | None:
        """The latest second up to that one in which they changed; None: they never do."""
        if self._fraction == 0.0:
            return None
        return second - math.floor(self._place(second) / self._fraction)

    def _place(self, second: int) -> float:
        # Steps of `fraction` around a circle: they come by the start once in 1/fraction seconds.
        return (second * self._fraction + self._phase) % 1.0
