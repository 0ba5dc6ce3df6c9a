"""One engine on one node, and how its build goes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from agent.protocol.engines import BuildRequest, Engine
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from console.engines.build_times import EarlierBuild, earlier_build, seconds_left
from console.fleet.inventory import NodeEntry

Stage = Literal["waiting", "under way", "done", "failed"]


@dataclass
class NodeBuild:
    """One engine on one node, and how it goes."""

    entry: NodeEntry
    request: BuildRequest
    what: str = ""
    """Tells builds of one model on one node apart."""
    source: NodeBuild | None = None
    """Whose plan it fetches, once that has ended, or nobody waits for it any more."""
    away: str | None = None
    """Why nobody waits for it, though it may be under way; None: its node answers."""
    not_shared: str | None = None
    """Why this console found no plan for it to fetch."""
    stage: Stage = "waiting"
    job: Job | None = None
    problem: ProblemError | None = None
    begun_at: float | None = None
    """On the monotonic clock."""
    seconds: float = 0.0
    known: list[Engine] = field(default_factory=list)
    """The node's engines before it."""

    @property
    def model(self) -> str:
        return self.request.recipe.model

    @property
    def ended(self) -> bool:
        return self.stage in {"done", "failed"}

    @property
    def before(self) -> EarlierBuild | None:
        """The build that this one is like."""
        name, alike = self.entry.name, None if self.job is None else self.job.alike
        return earlier_build({name: self.known}, name, self.model, alike)

    @property
    def seconds_left(self) -> float | None:
        """Of the building; None: nobody knows."""
        if self.job is None or self.begun_at is None:
            return None
        running = time.monotonic() - self.begun_at
        return seconds_left(self.job, self.before, running_seconds=running)
