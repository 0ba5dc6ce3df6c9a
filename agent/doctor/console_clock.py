"""What a console told about the node's clock, kept current between its visits."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.doctor.evidence import ClockOffset

# After that nobody knows how far the clocks have drifted; ours.
KEPT_SECONDS = 24 * 3600.0
# Quartz clocks of computers stay within this of each other (100 ppm); ours, and generous.
DRIFT = 1e-4


def boot_seconds() -> float:
    """Time since boot, which nobody can set; it runs on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ConsoleClock:
    """Remembers the last offset told. If the node's clock is set since, the offset follows."""

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        since_boot: Callable[[], float] = boot_seconds,
    ) -> None:
        self._wall = wall
        self._since_boot = since_boot
        self._told: ClockOffset | None = None
        self._told_at = 0.0  # since boot
        self._wall_then = 0.0

    def tell(self, seconds: float, uncertainty_seconds: float) -> None:
        """A console measured the node's clock minus its own, just now."""
        self._told = ClockOffset(seconds, uncertainty_seconds)
        self._told_at, self._wall_then = self._since_boot(), self._wall()

    def offset(self) -> ClockOffset | None:
        """The offset now, or None if no console told it within a day."""
        if self._told is None:
            return None
        age = self._since_boot() - self._told_at
        if age > KEPT_SECONDS:
            return None
        set_by = (self._wall() - self._wall_then) - age
        return ClockOffset(
            self._told.seconds + set_by, self._told.uncertainty_seconds + age * DRIFT
        )
