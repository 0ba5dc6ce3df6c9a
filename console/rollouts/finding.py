"""One rollout of a journal by the start of its id."""

from __future__ import annotations

from agent.protocol.problems import ProblemError
from console.rollouts.journal import Journal
from console.rollouts.record import Rollout


def find_rollout(journal: Journal, start: str | None) -> Rollout:
    """The rollout whose id begins so; None: the newest.

    Raises:
        ProblemError: `rollout.not_found`, `rollout.ambiguous`, `rollout.journal`.
    """
    found = [each for each in journal.rollouts() if each.id.startswith(start or "")]
    if not found:
        raise ProblemError(
            "rollout.not_found",
            f"there is no rollout {start}" if start else "there is no rollout yet",
            hint="roost rollout ls lists those of this host; roost rollout plan makes one.",
        )
    if start and len(found) > 1:
        raise ProblemError(
            "rollout.ambiguous",
            f"{start} begins the ids of {', '.join(each.id for each in found[:5])}",
            hint="Type more of it.",
        )
    return found[0]
