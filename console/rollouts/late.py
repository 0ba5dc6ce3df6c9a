"""Nodes that take longer than they may, and nodes that nothing is heard of."""

from __future__ import annotations

from console.rollouts.ledger import Ledger
from console.rollouts.lost import lose
from console.rollouts.record import UNCONFIRMED, RolloutNode
from console.rollouts.watching import misses_weight, weight_wanted
from console.text import age

# A node that does not answer for so long when its turn comes is offline.
REACH_SECONDS = 60.0
# Beyond its lease a node that can still go back by itself has, whatever its clock and ours do.
MARGIN_SECONDS = 60.0


def see_silent(ledger: Ledger, node: RolloutNode, why: str, now: float, asked_since: float) -> None:
    """It was asked, and did not answer; whoever asks does so since `asked_since`."""
    silent = now - max(node.heard_at, node.since)
    asked = min(silent, now - asked_since)
    told = node.tried or node.deployment is not None
    if node.stage == "preparing" or (node.stage == "applying" and not told):
        if asked > REACH_SECONDS:
            ledger.put(node, "offline", now, why)
    elif asked > ledger.rollout.strategy.confirm_within + MARGIN_SECONDS:
        lose(ledger, node, now, silent, why)


def silent(node: RolloutNode, now: float) -> bool:
    """Whether it was not heard of lately."""
    return now - max(node.heard_at, node.since) > MARGIN_SECONDS


def see_gap(ledger: Ledger, now: float) -> None:
    """Say for how long nobody was in touch with nodes that go back by themselves."""
    begun = [node for node in ledger.rollout.nodes if node.stage in UNCONFIRMED]
    if not begun:
        return
    gap = now - max(max(node.heard_at, node.since) for node in begun)
    if gap > MARGIN_SECONDS:
        lease = ledger.rollout.strategy.confirm_within
        back = ", longer than nodes wait until they go back" if gap > lease else ""
        ledger.say(now, f"nobody steered it for {age(gap)}{back}")


def see_late(ledger: Ledger, now: float, asked_since: float) -> None:
    """Those beyond a deadline: they go back, or are given up.

    Whom whoever asks now has not heard of yet may have got on long ago.
    """
    rollout = ledger.rollout
    deadline = rollout.strategy.deadline
    for node in rollout.nodes:
        if node.heard_at < asked_since and now - asked_since <= MARGIN_SECONDS:
            continue
        lasts = now - node.since
        heard = now - node.heard_at <= MARGIN_SECONDS  # else it is silent, which is another matter
        if node.stage == "preparing" and lasts > deadline.prepare:
            node.failed = True
            why = f"it was not prepared within {age(deadline.prepare)}"
            ledger.put(node, "cannot", now, _since(node, why))
        elif node.stage == "reverting" and heard and lasts > deadline.revert:
            node.failed = True
            why = f"it has been going back for {age(lasts)}, and has not ended that"
            ledger.put(node, "stuck", now, why)
        elif node.back:
            continue
        elif node.stage == "applying" and lasts > deadline.apply:
            _give_up(node, _since(node, f"it did not run that within {age(deadline.apply)}"))
        elif node.stage == "confirming" and heard and lasts > deadline.confirm:
            _give_up(node, f"it did not confirm within {age(deadline.confirm)}")
        elif misses_weight(rollout, node, now):
            weight = weight_wanted(rollout, node)
            _give_up(node, f"it did not get to {weight} % within {age(deadline.apply)}")


def _since(node: RolloutNode, why: str) -> str:
    """With what kept it from that, as it said last."""
    return f"{why}: {node.why}" if node.why else why


def _give_up(node: RolloutNode, why: str) -> None:
    node.failed = node.back = True
    node.why = why
