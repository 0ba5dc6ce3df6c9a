"""Taking a release back: what is not confirmed at once, what is done a few nodes at a time."""

from __future__ import annotations

from console.rollouts.budgets import Budget
from console.rollouts.catching_up import ask_on
from console.rollouts.ledger import RUNNER, Ledger
from console.rollouts.lost import asked_on
from console.rollouts.record import SETTLED, UNCONFIRMED, UNTOUCHED, State


def take_back(
    ledger: Ledger,
    ends_as: State,
    now: float,
    why: str = "",
    *,
    by: str = RUNNER,
    done: bool = True,
    wave: int | None = None,
    at_once: bool = False,
) -> None:
    """All unconfirmed nodes go back, and those that are `done`, of one wave or all.

    Those that ran it before the rollout began, or that a newer one has, stay as they are.
    """
    rollout = ledger.rollout
    rollout.ends_as, rollout.at_once, rollout.stands_until = ends_as, at_once, None
    ledger.turn("reverting", now, why, by=by)
    for node in rollout.nodes:
        # What was done already gets to nobody else after that.
        left = node.stage == "offline" and ends_as == "done"
        if node.stage in UNTOUCHED or left:
            ledger.put(node, "skipped", now, by=by)
        elif node.stage == "done":
            if node.newer and done and wave in (None, node.wave):
                ledger.put(node, "skipped", now, f"rollout {node.newer} has it now", by=by)
                continue
            changed = node.deployment is not None
            node.back = changed and done and wave in (None, node.wave)
        elif node.stage == "lost":
            node.back = node.back or (asked_on(node) and wave in (None, node.wave))
        elif node.stage != "reverting":
            node.back = node.stage in UNCONFIRMED


def begin_back(ledger: Ledger, now: float) -> None:
    """Unconfirmed nodes at once; healthy ones no more at a time than may be unavailable."""
    rollout = ledger.rollout
    healthy = []
    for node in rollout.nodes:
        if node.back and node.stage in UNCONFIRMED:
            ledger.put(node, "reverting", now, node.why)
        elif node.back and node.stage == "done":
            healthy.append(node)
    if not healthy:
        return
    budget = Budget(rollout, now, settling=False)
    for node in healthy:
        if rollout.at_once or budget.take(node):
            ledger.put(node, "reverting", now, node.why)


def end_back(ledger: Ledger, now: float) -> None:
    """It has ended once nothing is on its way back any more."""
    rollout = ledger.rollout
    settled = all(node.stage in SETTLED for node in rollout.nodes)
    if settled and not any(node.back and node.stage == "done" for node in rollout.nodes):
        ledger.turn(rollout.ends_as, now, rollout.why)
        ask_on(ledger, now)
