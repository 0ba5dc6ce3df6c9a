"""Rollouts in words and rows."""

from __future__ import annotations

import time
from collections.abc import Iterator

from console.rollouts.record import Event, Rollout
from console.rollouts.strategy import Strategy
from console.text import age, plural

_ENDS = {
    "revert-wave": "the wave that it is in goes back",
    "revert-all": "all waves go back",
    "pause": "it pauses, for somebody to look",
}


def strategy_lines(strategy: Strategy, nodes: int) -> Iterator[str]:
    """How it goes out, defaults included."""
    waves = ", ".join(map(str, strategy.waves))
    yield f"waves: {waves}{', ' if waves else ''}the rest"
    yield f"at most {plural(strategy.at_once(nodes), 'node')} at a time"
    gate = "then somebody promotes it" if strategy.gate == "manual" else "then it goes on by itself"
    yield f"each wave is watched for {age(strategy.soak)}, {gate}"
    tolerated = strategy.tolerated(nodes)
    so_many = f"more than {plural(tolerated, 'node')}" if tolerated else "a node"
    yield f"if {so_many} fails, {_ENDS[strategy.on_failure]}"
    yield (
        f"a node that is not heard of goes back by itself after {age(strategy.confirm_within)};"
        f" it has {age(strategy.deadline)} to run the release"
    )


def state_words(rollout: Rollout) -> str:
    """`running, wave 2 of 3`."""
    if rollout.state in ("running", "gate", "paused"):
        return f"{rollout.state}, wave {rollout.wave + 1} of {rollout.waves}"
    return rollout.state


def count_words(rollout: Rollout) -> str:
    """`3 done, 1 canary, 8 planned`."""
    return ", ".join(f"{count} {stage}" for stage, count in rollout.counts().items())


def soak_left(rollout: Rollout, now: float) -> float | None:
    """Seconds until the wave has been watched for long enough; None: it is not yet."""
    if rollout.state != "running" or rollout.soaks_since is None:
        return None
    return max(0.0, rollout.strategy.soak - (now - rollout.soaks_since))


def event_line(event: Event) -> str:
    """`16:40:02 edge-1 canary`, with who and why where that is not the runner's own course."""
    at = time.strftime("%H:%M:%S", time.localtime(event.at))
    who = "" if event.by == "the runner" else f" by {event.by}"
    why = f": {event.why}" if event.why else ""
    node = f"{event.node} " if event.node else ""
    return f"{at} {node}{event.what}{who}{why}"
