"""Nodes that a rollout which began later has brought its own version of the same release to.

What an older one would do there takes that version away, which nobody has asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from console.rollouts.record import UNCONFIRMED, Rollout, RolloutNode, Stage

# It runs there, or may; one that went back is nobody's newer one.
HAS_IT: frozenset[Stage] = UNCONFIRMED | {"done", "reverting", "stuck", "lost"}


def see_newer(rollouts: Iterable[Rollout]) -> None:
    """Set `newer` of all nodes of these rollouts, by each other."""
    has: dict[tuple[str, str], str] = {}
    for rollout in sorted(rollouts, key=lambda each: each.begun, reverse=True):
        for node in rollout.nodes:
            node.newer = has.get(_key(rollout, node))
        if not rollout.begun:  # a plan, or from before this was written down
            continue
        for node in rollout.nodes:
            if node.stage in HAS_IT:
                has.setdefault(_key(rollout, node), rollout.id)


def _key(rollout: Rollout, node: RolloutNode) -> tuple[str, str]:
    """Agents are upgraded beside all releases."""
    return node.name, "" if rollout.kits else rollout.release
