"""A rollout as the journal keeps it. Times are Unix seconds, by the clock of the console's host."""

from __future__ import annotations

from typing import Literal

import msgspec

from console.rollouts.judging.judge import Finding, Outcome
from console.rollouts.judging.looks import NodeLooks
from console.rollouts.strategy import Strategy

Stage = Literal[
    "planned",  # its turn has not come
    "preparing",  # gets what it needs: images, engines; nothing that runs is touched
    "prepared",
    "held",  # prepared, and its window is not open
    "applying",  # told to change, and does not run it for good yet
    "canary",  # runs it, and is watched; it goes back by itself unless this side stays in touch
    "confirming",
    "done",
    "reverting",
    "reverted",  # runs what it ran before
    "stuck",  # a person is needed there
    "lost",  # not heard of for longer than its lease; it is asked on, and the others go on without
    "offline",  # could not be reached when its turn came; nothing was changed
    "cannot",  # refused, nothing was changed
    "skipped",  # the rollout ended before its turn, or something newer is there
]
# Nothing goes on there that a wave, or the rollout's end, waits for.
SETTLED: frozenset[Stage] = frozenset(
    {"done", "reverted", "stuck", "lost", "offline", "cannot", "skipped"}
)
# Its turn has come or will, and nothing that runs there was touched.
UNTOUCHED: frozenset[Stage] = frozenset({"planned", "preparing", "prepared", "held"})
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

Wish = Literal["pause", "resume", "promote", "abort", "abort-all", "undo", "undo-at-once", "retry"]


class Progress(msgspec.Struct, kw_only=True):
    """How far nodes are that go through a release's weights together."""

    step: int = 0  # which weight, from 0
    since: float = 0.0  # when all of them ran it, or this weight was asked for
    soaks_since: float | None = None  # since all of them have this weight
    undecided_since: float | None = None  # soaked for long enough, and not judged well yet
    accepted_at: float | None = None  # when somebody went on with it undecided
    promoted: bool = False  # somebody let this step through
    untried_since: float | None = None  # when it paused, since no node of the wave runs it


class RolloutNode(msgspec.Struct, kw_only=True):
    """One node's part."""

    name: str
    wave: int  # from 0
    stage: Stage = "planned"
    since: float = 0.0  # in this stage
    heard_at: float = 0.0  # when its deployment was last heard of
    address: str = ""  # as fleet.yaml had it when planned; "": not noted
    groups: dict[str, str] = {}  # labels that count for the budget, as they were when planned
    zone: str | None = None  # IANA, for windows; as it was when planned
    well_since: float | None = None  # since it was first seen to run the release well
    boot: str | None = None  # of the agent that it is watched for; None: that is not what runs
    restarts: int = 0  # of that agent, while it was watched
    judged: Outcome | None = None  # at this weight
    judged_why: str = ""
    weight: int | None = None  # percent of requests that the candidate gets; None: not split
    alone: Progress | None = None  # it came back after the rollout's end, and catches up
    attempt: int = 1  # each has an idempotency key of its own
    deployment: str | None = None
    tried: bool = False  # it may have been told to change, also where no deployment is known
    back: bool = False  # it is to run again what it ran before
    lost_in: Stage | None = None  # the stage in which it was lost; None: nobody asks it any more
    failed: bool = False  # it counts against what is tolerated
    newer: str | None = None  # the rollout that began later, and has it now; as last read
    why: str = ""


class Judged(msgspec.Struct, kw_only=True):
    """What came of the last look at a node, and what the next one needs to know."""

    deployment: str | None
    at: float
    soaked: float  # seconds that it has been watched for
    outcome: Outcome
    findings: list[Finding] = []
    looks: NodeLooks = msgspec.field(default_factory=NodeLooks)


class ArchiveFile(msgspec.Struct, kw_only=True, frozen=True):
    """An archive as a plan remembers it: `digest` is of what its images are, not of its bytes."""

    path: str
    size_bytes: int
    modified_ns: int
    digest: str


class KitFile(msgspec.Struct, kw_only=True, frozen=True):
    """A kit as a plan remembers it, by its own SHA-256."""

    path: str
    arch: str
    id: str
    version: str
    size_bytes: int
    sha256: str
    signed_by: str | None = None  # the key's fingerprint; None: nobody
    pythons: list[str] = []  # that it is for


class Rollout(msgspec.Struct, kw_only=True):
    """One release on many nodes; or one version of the agent, which has `kits`."""

    id: str
    release: str
    version: str  # of the release's content
    file: str
    owner: str
    started_by: str = ""
    created_at: float
    strategy: Strategy
    nodes: list[RolloutNode]  # by wave
    state: State = "planned"
    since: float = 0.0
    begun: int = 0  # grows from one that is begun to the next; 0: it has not, or nobody noted it
    wave: int = 0  # the one that is under way
    progress: Progress = msgspec.field(default_factory=Progress)  # of that wave
    why: str = ""
    ends_as: State = "failed"  # what `reverting` becomes
    accepted: int = 0  # failures that somebody saw and went on with
    at_once: bool = False  # healthy nodes, too, go back all at once
    # It has ended, and nodes that were offline may still get it, or lost ones are asked on.
    stands_until: float | None = None
    pruned_at: float | None = None  # since then the journal has no more than a summary of it
    archives: list[ArchiveFile] = []  # that have what nodes lack
    kits: list[KitFile] = []  # it upgrades agents to these, one for each architecture
    fleet: str = ""  # the fleet.yaml that it was planned with; "": this machine alone

    @property
    def waves(self) -> int:
        return max((node.wave for node in self.nodes), default=-1) + 1

    @property
    def went_well(self) -> bool:
        """It has ended as somebody wanted it, and no node waits for a person."""
        return self.state in ("done", "undone") and "stuck" not in self.counts()

    @property
    def wants_runner(self) -> bool:
        """Whether there is something left to do by itself."""
        return self.stands_until is not None or self.state not in {"planned", *ENDED}

    def node(self, name: str) -> RolloutNode:
        """KeyError: it is not one of them."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

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
