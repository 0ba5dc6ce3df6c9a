"""What people want of a rollout: whether it can be done now, and what it does."""

from __future__ import annotations

from collections.abc import Mapping

from console.rollouts.going_back import take_back
from console.rollouts.ledger import Ledger
from console.rollouts.lost import asked_on
from console.rollouts.record import SETTLED, Progress, Rollout, RolloutNode, State, Wish

_MAY: Mapping[Wish, tuple[State, ...]] = {
    "pause": ("running", "gate"),
    "resume": ("paused",),
    "promote": ("running", "gate", "paused"),
    "abort": ("running", "gate", "paused"),
    "abort-all": ("running", "gate", "paused"),
    "undo": ("done", "failed", "aborted", "undone"),
    "undo-at-once": ("done", "failed", "aborted", "undone"),
    "retry": ("paused", "done", "failed", "aborted"),
}


def why_not(rollout: Rollout, wish: Wish, by: str) -> str | None:
    """Why that cannot be done now, or not by them; None: it can."""
    if rollout.pruned_at is not None:
        return "the journal has no more than a summary of it; plan the release anew"
    standing = wish == "abort" and rollout.state == "done" and rollout.stands_until is not None
    if rollout.state not in _MAY[wish] and not standing:
        return f"it is {rollout.state}"
    if wish == "promote":
        return _not_promote(rollout, by)
    if wish.startswith("undo") and not any(map(may_undo, rollout.nodes)):
        if newer := next((node.newer for node in rollout.nodes if node.newer), None):
            return f"no node runs it: rollout {newer} came after it"
        return f"it is {rollout.state}" if rollout.state == "undone" else "no node runs it"
    if wish == "retry" and any(node.alone and node.stage not in SETTLED for node in rollout.nodes):
        return "a node catches up just now"
    if wish == "retry" and not any(map(may_retry, rollout.nodes)):
        if newer := next((node.newer for node in rollout.nodes if node.newer), None):
            return f"rollout {newer} came after it on what is left; plan the release anew"
        return "no node is left that could take it"
    return None


def _not_promote(rollout: Rollout, by: str) -> str | None:
    if rollout.strategy.gate == "approval" and by in (rollout.owner, rollout.started_by):
        did = "planned" if by == rollout.owner else "started"
        return f"{by} has {did} it, and its waves need the approval of somebody else"
    if rollout.progress.soaks_since is None and rollout.progress.untried_since is None:
        return "no wave is being watched now"
    return None


def fulfil(ledger: Ledger, wish: Wish, by: str, now: float) -> None:
    """Do what `why_not` has nothing against."""
    rollout = ledger.rollout
    if wish == "pause":
        ledger.turn("paused", now, by=by)
    elif wish == "resume":
        rollout.accepted = failures(rollout)
        rollout.progress.accepted_at = now
        ledger.turn("running", now, by=by)
    elif wish == "promote":
        rollout.accepted = failures(rollout)
        rollout.progress.promoted = True
        ledger.turn("running", now, "the wave is let through", by=by)
    elif wish == "retry":
        _retry(ledger, by, now)
    else:
        take_back(
            ledger,
            _ends_as(rollout, wish),
            now,
            by=by,
            done=wish != "abort",
            at_once=wish == "undo-at-once",
        )


def _ends_as(rollout: Rollout, wish: Wish) -> State:
    if wish.startswith("undo"):
        return "undone"
    return "done" if rollout.state == "done" else "aborted"


def may_retry(node: RolloutNode) -> bool:
    """Whether it can be tried again: of a lost one nobody knows what it runs, and where something
    newer is, that would be taken away."""
    if node.newer or asked_on(node):
        return False
    return node.stage in SETTLED and node.stage not in ("done", "stuck")


def may_undo(node: RolloutNode) -> bool:
    """Whether it has something that can be taken back, as far as is known."""
    return (node.stage == "done" and not node.newer) or asked_on(node)


def failures(rollout: Rollout) -> int:
    """Nodes that count against what is tolerated."""
    return sum(node.failed for node in rollout.nodes)


def _retry(ledger: Ledger, by: str, now: float) -> None:
    rollout = ledger.rollout
    for node in rollout.nodes:
        if may_retry(node):
            node.attempt, node.deployment = node.attempt + 1, None
            node.boot, node.restarts = None, 0
            node.failed = node.back = node.tried = False
            node.weight = node.well_since = node.alone = node.judged = None
            ledger.put(node, "planned", now, by=by)
        elif node.newer and node.stage == "offline":  # it is not to catch up, either
            ledger.put(node, "skipped", now, f"rollout {node.newer} has it now", by=by)
    rollout.wave = min(node.wave for node in rollout.nodes if node.stage == "planned")
    rollout.progress, rollout.stands_until = Progress(), None
    rollout.accepted = failures(rollout)
    ledger.turn("running", now, "once more", by=by)
