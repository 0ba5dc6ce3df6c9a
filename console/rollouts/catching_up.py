"""After a rollout's end: nodes that were offline take the release alone when they return.

What was let through its gates is let through for them, too; a node that cannot be judged goes back,
since nobody is there to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from console.rollouts.ledger import Ledger
from console.rollouts.record import SETTLED, UNTOUCHED, Progress, Rollout, RolloutNode
from console.rollouts.watching import advance
from console.text import age


def stand(ledger: Ledger, now: float) -> None:
    """The rollout is done. It stands for a while, for those that were offline."""
    rollout = ledger.rollout
    offline = [node for node in rollout.nodes if node.stage == "offline"]
    if offline and rollout.strategy.catch_up > 0:
        rollout.stands_until = now + rollout.strategy.catch_up
        ledger.say(
            now, f"nodes that were offline may still catch up, for {age(rollout.strategy.catch_up)}"
        )


def returned(ledger: Ledger, node: RolloutNode, now: float) -> None:
    """A node that was offline answers."""
    node.alone = Progress()
    ledger.put(node, "preparing", now, "it is back, and catches up")


def supersede(ledger: Ledger, newer: Mapping[str, str], now: float) -> None:
    """Nodes, by name, that newer rollouts have: what was not begun there is theirs."""
    for node in ledger.rollout.nodes:
        alone = node.alone is not None and node.stage in UNTOUCHED
        if (node.stage == "offline" or alone) and (other := newer.get(node.name)):
            ledger.put(node, "skipped", now, f"rollout {other} has it now")


def catch_up(
    ledger: Ledger, begin: Callable[[Sequence[RolloutNode], float], None], now: float
) -> None:
    """Go on with those that have returned; `begin` lets nodes change as far as they may."""
    rollout = ledger.rollout
    alone = [node for node in rollout.nodes if node.alone and node.stage not in SETTLED]
    begin(alone, now)
    for node in alone:
        if node.stage == "canary" and node.alone is not None:
            _go_on(ledger, node, node.alone, now)
    if not alone:
        _see_end(ledger, rollout, now)


def _go_on(ledger: Ledger, node: RolloutNode, progress: Progress, now: float) -> None:
    turn = advance([node], progress, ledger.rollout.strategy, now)
    if turn == "through":
        ledger.put(node, "confirming", now)
    elif turn == "undecided":
        node.back = True
        ledger.put(node, "reverting", now, "it could not be judged, and nobody is there to ask")


def _see_end(ledger: Ledger, rollout: Rollout, now: float) -> None:
    if rollout.stands_until is None:
        return
    if not any(node.stage == "offline" for node in rollout.nodes):
        rollout.stands_until = None
        ledger.say(now, "no node is outstanding any more")
    elif now >= rollout.stands_until:
        rollout.stands_until = None
        ledger.say(now, "the time to catch up is over")
