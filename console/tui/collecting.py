"""Garbage collection that is not felt: never before the first paint, in full only while nobody
types.

With 1,000 live nodes a full collection stops everything for 90 ms, and it comes every 20 s or so.
"""

from __future__ import annotations

import gc

# Objects made since the last small collection, and small ones to a middle one: each takes a few
# milliseconds. A refresh of 1,000 nodes makes some ten thousand objects.
_YOUNG = 5_000
_MIDDLE = 2
_NEVER = 1_000_000
FULL_EVERY_SECONDS = 60.0
QUIET_SECONDS = 5.0
"""No key for so long: the person reads."""


class Collector:
    """Takes over from Python: one for the process, made before Textual is imported."""

    def __init__(self) -> None:
        self._collected_at = 0.0

    def hold_off(self) -> None:
        """Collect nothing while modules and the first screen are made: hardly any is garbage."""
        gc.disable()

    def begin(self, now: float) -> None:
        """What there is now stays for good and is not looked at again. Times in seconds."""
        gc.freeze()
        gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
        gc.enable()
        self._collected_at = now

    def look(self, now: float, *, typed_at: float) -> None:
        """Called at every refresh: collect in full if it is time, and the last key a while ago."""
        if now - self._collected_at >= FULL_EVERY_SECONDS and now - typed_at >= QUIET_SECONDS:
            self._collected_at = now
            gc.collect()
