"""How long the states of a deployment may last, in seconds: what its parts take, and a margin."""

from __future__ import annotations

from collections.abc import Sequence

from agent.containers.actions import LONGEST_STOP_SECONDS
from agent.containers.inspection import DEFAULT_STOP_SECONDS
from agent.traffic.traffic import DRAIN_SECONDS
from agent.workloads.fronts import SETTLE_SECONDS
from agent.workloads.recipe import Recipe
from agent.workloads.records import Part

# For each container that is stopped, beside its own grace period: a runtime that is slow.
STOP_SECONDS = 60.0
# Beside what the containers get to stop and to become well.
MARGIN_SECONDS = 120.0


def grace_seconds(recipe: Recipe) -> float:
    """How long a container of it may take to stop by itself, before the runtime kills it."""
    said = recipe.body.get("StopTimeout") or DEFAULT_STOP_SECONDS
    return float(min(said, LONGEST_STOP_SECONDS))


def start_seconds(parts: Sequence[Part]) -> float:
    """Of "starting" and "probing", in which an old container may have to stop first."""
    return sum(part.start_deadline + _stop(part) for part in parts) + MARGIN_SECONDS


def longest_soak(parts: Sequence[Part]) -> float:
    """Of those that get another container."""
    return max((part.soak for part in parts if not part.stays), default=0.0)


def soak_seconds(parts: Sequence[Part]) -> float:
    """Of "canary", in which old containers stop that share nothing, and new ones that ended with
    the runtime come up once more."""
    again = max((part.start_deadline for part in parts), default=0.0)
    return longest_soak(parts) + again + sum(map(_stop, parts)) + MARGIN_SECONDS


def confirm_seconds(parts: Sequence[Part]) -> float:
    """Of "confirming": each in turn ends its requests, stops, and leaves its place in the proxy."""
    return sum(_stop(part) + DRAIN_SECONDS + SETTLE_SECONDS for part in parts) + MARGIN_SECONDS


def _stop(part: Part) -> float:
    """Until its old container has stopped."""
    return STOP_SECONDS + (0.0 if part.old is None else grace_seconds(part.old.recipe))
