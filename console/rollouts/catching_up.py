"""After a rollout's end: nodes that were offline take the release alone when they return, and lost
ones are asked on until it is known how they are.

What was let through its gates is let through for them, too; a node that cannot be judged goes back,
since nobody is there to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from console.rollouts.ledger import Ledger
from console.rollouts.lost import asked_on, outstanding
from console.rollouts.record import SETTLED, UNTOUCHED, Progress, Rollout, RolloutNode
from console.rollouts.watching import advance
from console.text import age, plural

# For so long lost nodes are asked on at least, whatever `catch_up` says.
LOST_SECONDS = 7 * 86400.0


def stand(ledger: Ledger, now: float) -> None:
    """It is done. It stands for a while, for those that were offline, and for lost ones."""
    rollout = ledger.rollout
    within = rollout.strategy.catch_up
    if may_return(rollout, now) and any(node.stage == "offline" for node in rollout.nodes):
        rollout.stands_until = now + within
        ledger.say(now, f"nodes that were offline may still catch up, for {age(within)}")
    ask_on(ledger, now)


def ask_on(ledger: Ledger, now: float) -> None:
    """It has ended, however it did. It stands for lost nodes."""
    rollout = ledger.rollout
    if lost := outstanding(rollout.nodes):
        within = max(rollout.strategy.catch_up, LOST_SECONDS)
        rollout.stands_until = now + within
        who = plural(len(lost), "lost node")
        ledger.say(now, f"{who} {'is' if len(lost) == 1 else 'are'} asked on, for {age(within)}")


def may_return(rollout: Rollout, now: float) -> bool:
    """Whether a node that was offline may still get what the rollout brought to others."""
    return rollout.state == "done" and now - rollout.since < rollout.strategy.catch_up


def returned(ledger: Ledger, node: RolloutNode, now: float) -> None:
    """A node that was offline answers."""
    node.alone = Progress()
    ledger.put(node, "preparing", now, "it is back, and catches up")


def supersede(ledger: Ledger, newer: Mapping[str, str], now: float) -> None:
    """Nodes, by name, that newer rollouts have: what was not begun there is theirs."""
    for node in ledger.rollout.nodes:
        alone = node.alone is not None and node.stage in UNTOUCHED
        other = newer.get(node.name)
        if other and (node.stage == "offline" or alone):
            ledger.put(node, "skipped", now, f"rollout {other} has it now")
        elif other and asked_on(node):
            node.lost_in = None
            why = f"rollout {other} has it now"
            ledger.say(now, "asked no more", node=node.name, why=why)


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
    if all(node.stage in SETTLED for node in rollout.nodes):
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
    may = may_return(rollout, now)
    lost = outstanding(rollout.nodes)
    if not lost and not any(node.stage == "offline" for node in rollout.nodes):
        rollout.stands_until = None
        ledger.say(now, "no node is outstanding any more")
    elif now >= rollout.stands_until or not (lost or may):
        rollout.stands_until = None
        ledger.say(now, "the time to catch up is over")
