"""Nodes that were not heard of for longer than their lease: they are asked on, until they answer.

The others do not wait for them. What they run is known again once they are heard.
"""

from __future__ import annotations

from collections.abc import Iterable

from console.rollouts.asks import Ask, Seen
from console.rollouts.ledger import Ledger
from console.rollouts.record import Rollout, RolloutNode
from console.text import age


def lose(ledger: Ledger, node: RolloutNode, now: float, silent: float, why: str) -> None:
    """It was silent for so many seconds.

    Only a node that can have gone back by itself failed; and one whose agent was changed, for it is
    that agent which does not answer.
    """
    told = f"not heard of for {age(silent)}"
    if node.back:
        told += ", and it is not known whether it runs again what it ran before"
    elif node.stage == "confirming" and not ledger.rollout.kits:
        told += ", and it is not known whether it has confirmed"
    else:
        node.failed = node.back = True
    node.lost_in = node.stage
    ledger.put(node, "lost", now, f"{told}: {why}")


def asked_on(node: RolloutNode) -> bool:
    """Whether it is lost, and somebody is to find out how it is."""
    return node.stage == "lost" and node.lost_in is not None


def outstanding(nodes: Iterable[RolloutNode]) -> list[RolloutNode]:
    """Those that are asked on."""
    return [node for node in nodes if asked_on(node)]


def ask_of(rollout: Rollout, node: RolloutNode) -> Ask | None:
    """What it is asked; None: nothing any more. It may have done that long ago."""
    if not asked_on(node) or not rollout.wants_runner:
        return None
    return "revert" if node.back else "confirm"


def hear_again(ledger: Ledger, node: RolloutNode, seen: Seen, now: float) -> None:
    """It answers, or does not. One that is at it still stays as it is."""
    if seen.what == "unreached":
        return
    node.heard_at = now
    if seen.what == "nothing" and node.back:
        ledger.put(node, "reverted", now, "nothing had begun there")
    elif seen.what == "left":
        ledger.put(node, "skipped", now, seen.why)
    elif seen.state == "stuck":
        node.failed = True
        ledger.put(node, "stuck", now, seen.why)
    elif seen.state == "reverted":
        node.failed = node.failed or not node.back
        ledger.put(node, "reverted", now, seen.why)
    elif seen.state == "done" and not node.back:
        node.well_since = node.well_since or now
        ledger.put(node, "done", now, "it is heard of again")
    elif seen.state is not None and node.back:
        ledger.put(node, "reverting", now, "it is heard of again")
    if node.stage != "lost":
        node.lost_in = None
