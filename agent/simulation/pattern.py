"""How busy a simulated node is: a pure function of a seed and the time, not noise.

The shape is made up after a plant with cameras: people and trucks from six in the morning, a
dip at noon, few at night. On top of it scenes come and go within minutes and seconds.
"""

from __future__ import annotations

import math

from agent.rules.chance import repeatable

# Share of the cameras with something to see, by the hour of the plant's day.
_BY_HOUR = (
    *(0.18, 0.16, 0.15, 0.15, 0.17, 0.30, 0.62, 0.85, 0.92, 0.90, 0.88, 0.80),
    *(0.66, 0.82, 0.90, 0.92, 0.86, 0.74, 0.58, 0.45, 0.38, 0.32, 0.26, 0.21),
)
HEAT_LAG_SECONDS = 20.0
# Scenes: how long they take in seconds, and by how much of the whole they move the load.
_SCENES = ((311.0, 0.07), (47.0, 0.04), (7.3, 0.025))


class Pattern:
    """The load of one thing on one node.

    Args:
        seed: Any text; the same text gives the same load.
        peak: The load at the busiest time of the day, 0 to 1.
        utc_offset_seconds: Of the node's time zone.
    """

    def __init__(self, seed: str, *, peak: float, utc_offset_seconds: float = 0.0) -> None:
        chance = repeatable(seed)
        self._peak = peak
        self._offset = utc_offset_seconds + chance.uniform(-1200.0, 1200.0)
        self._scenes = tuple(
            (math.tau / period, chance.uniform(0.0, math.tau), share * peak)
            for period, share in _SCENES
        )

    def daily(self, at: float) -> float:
        """The load without scenes, 0 to `peak`. `at` is Unix time in seconds."""
        hours = (at + self._offset) / 3600
        hour = math.floor(hours)
        low, high = _BY_HOUR[hour % 24], _BY_HOUR[(hour + 1) % 24]
        return self._peak * (low + (high - low) * (hours - hour))

    def load(self, at: float) -> float:
        """The load, 0 to 1."""
        load = self.daily(at)
        for pace, phase, share in self._scenes:
            load += share * math.sin(pace * at + phase)
        return min(1.0, max(0.0, load))

    def heat(self, at: float) -> float:
        """The load as a heat sink follows it, 0 to 1: only what lasts for minutes."""
        pace, phase, share = self._scenes[0]
        moved = share * math.sin(pace * (at - HEAT_LAG_SECONDS) + phase)
        return min(1.0, max(0.0, self.daily(at) + moved))
