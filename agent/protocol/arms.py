"""Arms on the wire: what a node measured of a workload's stable and its candidate container.

`GET /v1/deployments/{id}/arms` answers `Arms`: cumulative figures of one window, in which both arms
got traffic at the weight that holds. A window begins anew when the weight changes, when a counter
was lost, and when the agent starts.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

ArmName = Literal["stable", "candidate"]

# Answers are counted in buckets of 1 % width: quantiles are then off by 1 % at most, and a window
# of any length stays small on the wire.
GROWTH = 1.01


def bucket_of(seconds: float) -> int:
    """Which bucket an answer falls into: the one from GROWTH**n to GROWTH**(n+1) microseconds."""
    return max(0, math.floor(math.log(max(1.0, seconds * 1e6)) / math.log(GROWTH)))


def seconds_of(bucket: int) -> float:
    """The middle of a bucket."""
    return math.pow(GROWTH, bucket + 0.5) / 1e6


class RequestFigures(msgspec.Struct, kw_only=True):
    """Requests that one arm answered in the window, as the proxy in front of it saw them."""

    requests: int = 0
    errors: int = 0  # 5xx, no connection, no answer; what the client cut off is none
    # Time until the answer's headers, by `bucket_of`; of answers that are no errors.
    latency: dict[int, int] = {}
