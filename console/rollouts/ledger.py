"""Changes of a rollout's record, each of which is told: who, when, why."""

from __future__ import annotations

from collections.abc import Callable

from console.rollouts.record import Event, Rollout, RolloutNode, Stage, State

RUNNER = "the runner"


class Ledger:
    """A rollout's record, and who hears what becomes of it."""

    def __init__(self, rollout: Rollout, happened: Callable[[Event], None]) -> None:
        self.rollout, self._happened = rollout, happened

    def put(
        self, node: RolloutNode, stage: Stage, now: float, why: str = "", *, by: str = RUNNER
    ) -> None:
        """A node is in another stage."""
        node.stage, node.since, node.why = stage, now, why
        self._happened(Event(at=now, by=by, what=stage, node=node.name, why=why))

    def turn(self, state: State, now: float, why: str = "", *, by: str = RUNNER) -> None:
        """The rollout is in another state."""
        self.rollout.state, self.rollout.since, self.rollout.why = state, now, why
        self._happened(Event(at=now, by=by, what=state, why=why))

    def say(self, now: float, what: str, *, node: str | None = None, why: str = "") -> None:
        """Something that changes no state."""
        self._happened(Event(at=now, by=RUNNER, what=what, node=node, why=why))
