"""What the judge remembers of one node between looks: small, plain, and kept in the journal."""

from __future__ import annotations

import msgspec

from agent.protocol.arms import RequestFigures
from console.rollouts.judging.evidence import Evidence

# Points of a figure's history; when they are full, every other one goes.
HISTORY_KEPT = 30
# From so many answers of each arm on the normal distribution fits their ranks, far out too.
FIRST_LOOK = 100


class Point(msgspec.Struct, frozen=True, array_like=True):
    """What a condition's figure was at one look, in its own unit."""

    soaked: float
    candidate: float | None
    stable: float | None


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """Requests of both arms, and those of them that speak against an arm: errors, slow answers."""

    candidate: int = 0
    events: int = 0  # of the candidate's
    beyond: int = 0  # those that do so even where it may be slower by what is tolerated
    stable: int = 0
    stable_events: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(
            self.candidate + other.candidate,
            self.events + other.events,
            self.beyond + other.beyond,
            self.stable + other.stable,
            self.stable_events + other.stable_events,
        )

    def since(self, before: Counts) -> Counts:
        """What was added; below 0 where a counter went back."""
        return Counts(
            self.candidate - before.candidate,
            self.events - before.events,
            self.beyond - before.beyond,
            self.stable - before.stable,
            self.stable_events - before.stable_events,
        )

    @property
    def possible(self) -> bool:
        """Whether such numbers can be of any traffic."""
        return 0 <= self.beyond <= self.events <= self.candidate and (
            0 <= self.stable_events <= self.stable
        )


class SortLooks(msgspec.Struct, frozen=True, array_like=True):
    """Of one sort of requests: through the proxy, or replayed."""

    counts: Counts = Counts()  # of this window, at the last look
    # Slower than this bucket is slow: what was known of the stable arm before this look.
    slow: int | None = None


class RankLooks(msgspec.Struct, frozen=True, array_like=True):
    """Of the test of the whole distribution."""

    taken: int = 0  # over all windows
    next_at: int = FIRST_LOOK  # answers of the arm that has fewer, in this window
    z: float | None = None
    delta: float | None = None


class ConditionLooks(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Of one condition on one workload."""

    since: float | None = None  # `soaked` when it began to count; None: it has not
    in_doubt: float | None = None  # `soaked` since when it is neither well nor failed
    failed: str = ""  # why; what failed once stays so
    window: str = ""
    # What both arms had answered in this window while they warmed up, by sort of request.
    warm: dict[str, tuple[RequestFigures, RequestFigures]] = {}
    candidate: int = 0  # requests, or readings, that were judged; over all windows
    stable: int = 0
    evidence: Evidence = Evidence()
    latest: float = 0.0  # the logarithm of what the last look alone would be, without any limit
    sorts: dict[str, SortLooks] = {}
    recent: Counts = Counts()  # since anything speaks against the candidate
    ranks: RankLooks = RankLooks()
    misses: int = 0  # readings out of bounds, in a row
    broken: int = 0  # readings that failed, in a row
    read_at: float | None = None  # seconds of the window, of the last good reading
    read_errors: int = 0  # of this window, at the last look
    counted: int = 0  # XIDs, restarts, good readings: what the node had counted at the last look
    carried: int = 0  # of the first two: what it had counted when it began anew
    history: tuple[Point, ...] = ()


class NodeLooks(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Of one node: begin with an empty one, hand the last one back at each look."""

    conditions: dict[str, ConditionLooks] = {}  # by `Finding.key`


def with_point(history: tuple[Point, ...], point: Point) -> tuple[Point, ...]:
    """One more; a figure that stays as it was is one point, the newest."""
    if len(history) > 1 and all(
        (old.candidate, old.stable) == (point.candidate, point.stable) for old in history[-2:]
    ):
        return (*history[:-1], point)
    if len(history) >= HISTORY_KEPT:
        history = history[::2]
    return (*history, point)
