"""What a rollout waits for just now, in words."""

from __future__ import annotations

from collections.abc import Sequence

from console.rollouts.lost import outstanding
from console.rollouts.record import Rollout, RolloutNode, Stage
from console.rollouts.watching import weights_of
from console.text import age, plural

_NAMED = 3


def waits_for(rollout: Rollout, now: float) -> list[str]:
    """One line each, the first the most telling; empty: for nothing."""
    if rollout.state == "gate":
        asked = "somebody else than who planned or started it" if _approval(rollout) else "somebody"
        return [f"for {asked} to promote wave {rollout.wave + 1}"]
    if rollout.state == "paused":
        return ["for somebody to resume it, to promote the wave, or to abort"]
    if rollout.stands_until is not None:
        left = age(rollout.stands_until - now)
        lines = [f"for {_named(outstanding(rollout.nodes), 'lost')} to be heard of, {left} more"]
        if any(node.stage == "offline" for node in rollout.nodes) and rollout.state == "done":
            left = age(rollout.since + rollout.strategy.catch_up - now)
            lines.append(f"for {_named(rollout.nodes, 'offline')} to return, {left} more")
        return lines if outstanding(rollout.nodes) else lines[1:]
    if rollout.state == "reverting":
        return [f"for {_named(rollout.nodes, 'reverting')} to go back"]
    return _running(rollout, now) if rollout.state == "running" else []


def soak_left(rollout: Rollout, now: float) -> float | None:
    """Seconds until the wave has been watched for long enough at its weight; None: not yet."""
    since = rollout.progress.soaks_since
    if rollout.state != "running" or since is None:
        return None
    return max(0.0, rollout.strategy.soak - (now - since))


def _running(rollout: Rollout, now: float) -> list[str]:
    wave = rollout.in_wave()
    found = []
    for node in wave:
        if node.stage == "held" and node.why not in found:
            found.append(node.why)
    lines = [
        f"for {_named([each for each in wave if each.why == why], 'held')}: {why}" for why in found
    ]
    doing: tuple[tuple[Stage, str], ...] = (
        ("applying", "to run the release"),
        ("preparing", "to be prepared"),
        ("confirming", "to confirm"),
        ("reverting", "to go back"),
    )
    lines += [
        f"for {_named(wave, stage)} {what}"
        for stage, what in doing
        if any(node.stage == stage for node in wave)
    ]
    if not lines and (watched := [node for node in wave if node.stage == "canary"]):
        lines = _watched(rollout, watched, now)
    return lines


def _watched(rollout: Rollout, nodes: Sequence[RolloutNode], now: float) -> list[str]:
    weights = weights_of(nodes, rollout.strategy)
    weight = weights[min(rollout.progress.step, len(weights) - 1)]
    at = f" at {weight} %" if len(weights) > 1 else ""
    left = soak_left(rollout, now)
    if left is None:
        return [f"for wave {rollout.wave + 1} to be{at}"]
    if left > 0:
        return [f"wave {rollout.wave + 1} is watched{at} for {age(left)} more"]
    return [
        f"for {node.name} to be judged: {node.judged_why or 'there is no look yet'}"
        for node in nodes
        if rollout.strategy.judges and node.judged != "pass"
    ]


def _named(nodes: Sequence[RolloutNode], stage: Stage) -> str:
    names = [node.name for node in nodes if node.stage == stage]
    more = f" and {plural(len(names) - _NAMED, 'more node')}" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _approval(rollout: Rollout) -> bool:
    return rollout.strategy.gate == "approval"
