"""Agents that were upgraded, and that end while they are watched."""

from __future__ import annotations

from console.rollouts.ledger import Ledger
from console.rollouts.record import RolloutNode
from console.rollouts.watching import progress_of

# As often as one on trial may, which goes back by itself then.
RESTARTS = 3


def see_boot(ledger: Ledger, node: RolloutNode, boot: str | None, now: float) -> None:
    """Where another start of it answers it is watched from now on, or goes back."""
    before, node.boot = node.boot, boot
    if node.stage != "canary" or None in (before, boot) or boot == before:
        return
    node.restarts += 1
    if node.restarts >= RESTARTS:
        node.failed = node.back = True
        node.why = f"its agent ended {node.restarts} times while it was watched"
        return
    progress_of(ledger.rollout, node).soaks_since = None
    ledger.say(now, "its agent has started again, and is watched anew", node=node.name)
