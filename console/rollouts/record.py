"""A rollout as the journal keeps it. Times are Unix seconds, by the clock of the console's host."""

from __future__ import annotations

from typing import Literal

import msgspec

from console.rollouts.strategy import Strategy

Stage = Literal[
    "planned",  # its turn has not come
    "preparing",  # gets what it needs: images, engines; nothing that runs is touched
    "prepared",
    "applying",  # told to change, and does not run it for good yet
    "canary",  # runs it, and is watched; it goes back by itself unless this side stays in touch
    "confirming",
    "done",
    "reverting",
    "reverted",  # runs what it ran before
    "stuck",  # a person is needed there
    "lost",  # nothing was heard of it for longer than it waits before it goes back by itself
    "offline",  # could not be reached when its turn came; nothing was changed
    "cannot",  # refused, nothing was changed
    "skipped",  # the rollout ended before its turn
]
# Nothing goes on there.
SETTLED: frozenset[Stage] = frozenset(
    {"done", "reverted", "stuck", "lost", "offline", "cannot", "skipped"}
)
# Its turn has come or will, and nothing that runs there was touched.
UNTOUCHED: frozenset[Stage] = frozenset({"planned", "preparing", "prepared"})
UNCONFIRMED: frozenset[Stage] = frozenset({"applying", "canary", "confirming"})

State = Literal[
    "planned",
    "running",
    "gate",  # a wave is well, and somebody is to promote it
    "paused",
    "reverting",
    "done",
    "failed",
    "aborted",
    "undone",
]
ENDED: frozenset[State] = frozenset({"done", "failed", "aborted", "undone"})

Wish = Literal["pause", "resume", "promote", "abort", "abort-all", "undo", "retry"]


class RolloutNode(msgspec.Struct, kw_only=True):
    """One node's part."""

    name: str
    wave: int  # from 0
    stage: Stage = "planned"
    since: float = 0.0  # in this stage
    heard_at: float = 0.0  # when its deployment was last heard of
    attempt: int = 1  # each has an idempotency key of its own
    deployment: str | None = None
    back: bool = False  # it is to run again what it ran before
    failed: bool = False  # it counts against what is tolerated
    why: str = ""


class Rollout(msgspec.Struct, kw_only=True):
    """One release on many nodes."""

    id: str
    release: str
    version: str  # of the release's content
    file: str
    owner: str
    created_at: float
    strategy: Strategy
    nodes: list[RolloutNode]  # by wave
    state: State = "planned"
    since: float = 0.0
    wave: int = 0  # the one that is under way
    soaks_since: float | None = None  # since all of the wave's nodes run it
    promoted: bool = False  # somebody let the wave through its gate
    why: str = ""
    ends_as: State = "failed"  # what `reverting` becomes
    accepted: int = 0  # failures that somebody saw and went on with

    @property
    def waves(self) -> int:
        return max((node.wave for node in self.nodes), default=-1) + 1

    def in_wave(self) -> list[RolloutNode]:
        """The nodes of the wave that is under way."""
        return [node for node in self.nodes if node.wave == self.wave]

    def counts(self) -> dict[Stage, int]:
        """Nodes by stage."""
        found: dict[Stage, int] = {}
        for node in self.nodes:
            found[node.stage] = found.get(node.stage, 0) + 1
        return found


class Event(msgspec.Struct, kw_only=True):
    """Something that happened, for the log: who, when, why."""

    at: float
    by: str
    what: str
    node: str | None = None
    why: str = ""
