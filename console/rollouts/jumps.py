"""Clocks that are set, and machines that sleep: what is waited for waits on as if nothing was."""

from __future__ import annotations

from collections.abc import Callable

from console.rollouts.record import SETTLED, Progress, Rollout

# What NTP corrects between two rounds is far less.
JUMP_SECONDS = 1.0


class JumpWatch:
    """By how much the wall clock went otherwise than a clock that nobody sets."""

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float]) -> None:
        """`steady` need not count while the machine sleeps: that is a jump, too."""
        self._wall, self._steady = wall, steady
        self._ahead: float | None = None

    def look(self) -> tuple[float, float]:
        """Unix time now, and seconds that it has jumped since the last look; mostly 0."""
        now = self._wall()
        ahead = now - self._steady()
        jumped = 0.0 if self._ahead is None else ahead - self._ahead
        if self._ahead is not None and abs(jumped) < JUMP_SECONDS:
            return now, 0.0
        self._ahead = ahead
        return now, jumped


def shift(rollout: Rollout, by: float) -> None:
    """All that a wait began at is so much later: it has lasted as long as it had before."""
    _shift(rollout.progress, by)
    for node in rollout.nodes:
        if node.well_since is not None:
            node.well_since += by
        if node.alone is not None:
            _shift(node.alone, by)
        if node.stage not in SETTLED:
            node.since += by
            node.heard_at += by if node.heard_at else 0.0


def _shift(progress: Progress, by: float) -> None:
    progress.since += by if progress.since else 0.0
    if progress.soaks_since is not None:
        progress.soaks_since += by
    if progress.undecided_since is not None:
        progress.undecided_since += by
    if progress.accepted_at is not None:
        progress.accepted_at += by
