"""What the judge remembers of one node between looks: small, plain, and kept in the journal."""

from __future__ import annotations

import msgspec

HISTORY_KEPT = 60


class Point(msgspec.Struct, frozen=True, array_like=True):
    """What a condition's figure was at one look. Unit: the figure's own."""

    soaked: float
    candidate: float | None
    stable: float | None


class ConditionLooks(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Of one condition on one workload."""

    since: float | None = None  # `soaked` when it began to count; None: it has not
    failed: str = ""  # why; what failed once stays so
    candidate: int = 0  # requests that were judged, over all windows
    stable: int = 0
    misses: int = 0  # readings out of bounds, in a row
    broken: int = 0  # readings that failed, in a row
    history: tuple[Point, ...] = ()


class NodeLooks(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Of one node: begin with an empty one, hand the last one back at each look."""

    conditions: dict[str, ConditionLooks] = {}  # by `Finding.key`
