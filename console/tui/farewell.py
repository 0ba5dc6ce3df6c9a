"""What is said when the interface is left: which rollouts go on, where, and what keeps them up."""

from __future__ import annotations

from agent.protocol.problems import ProblemError
from console.rollouts.record import ENDED, Rollout
from console.rollouts.words import state_words, unsteered_lines
from console.tui.rollouts import Desk, mark_of
from console.tui.rows.rollouts import release_words

_TOLD = 5


def farewell_lines(desk: Desk) -> list[str]:
    """Empty where no rollout is open. Blocks."""
    from console.rollouts.locks import locked
    from console.rollouts.supervisor import supervision

    try:
        journal = desk.journal()
        if not mark_of(journal.folder):
            return []
        found = [each for each in journal.rollouts() if each.wants_runner]
        steered = {each.id for each in found if locked(journal.folder, each.id)}
        there = supervision(journal.folder) if found else None
    except ProblemError as problem:
        return [f"rollouts: {problem.detail}"]
    lines = []
    for each in found[:_TOLD]:
        lines += _told(each, desk.host, steered=each.id in steered, kept=there is not None)
    if len(found) > _TOLD:
        lines.append(f"and {len(found) - _TOLD} more rollouts: roost rollout ls")
    return lines


def _told(rollout: Rollout, host: str, *, steered: bool, kept: bool) -> list[str]:
    name = f"rollout {rollout.id} ({release_words(rollout)}), {state_words(rollout)}"
    lone = list(unsteered_lines(rollout, steered=steered))
    if lone:
        return [f"{name}: {lone[0]}", *lone[1:]]
    until = "nodes that return still get it" if rollout.state in ENDED else "goes on without you"
    keeps = (
        "a supervisor restarts its runner"
        if kept
        else f"nobody restarts its runner; if {host} restarts: roost rollout runner {rollout.id}"
    )
    return [f"{name}: {until}, on {host}; {keeps}", f"look: roost rollout watch {rollout.id}"]
