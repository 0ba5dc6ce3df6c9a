"""Engines on many nodes: a few builds at a time at each site, each a job of its node."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from agent.protocol.engines import Engine
from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from console.engines.build_times import EarlierBuild, earlier_build, seconds_left
from console.fleet.inventory import NodeEntry
from console.images.following import see_through
from console.link.client import NodeClient

SITE = "site"  # the label
_WELL = frozenset({"succeeded", "skipped"})
Stage = Literal["waiting", "under way", "done", "failed"]
Begin = Callable[[NodeClient, str], Awaitable[Job]]


@dataclass
class NodeBuild:
    """One engine on one node, and how it goes."""

    entry: NodeEntry
    model: str
    begin: Begin
    """Begins the job, or finds the one of that idempotency key."""
    what: str = ""
    """Tells builds of one model on one node apart."""
    stage: Stage = "waiting"
    job: Job | None = None
    problem: ProblemError | None = None
    begun_at: float | None = None
    """On the monotonic clock."""
    seconds: float = 0.0
    known: list[Engine] = field(default_factory=list)
    """The node's engines before it."""

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


class FleetBuild:
    """Runs builds to their ends. What was begun on a node goes on without it.

    `run_name` names the whole of it: with the same one, builds that were begun are found again,
    those that failed are tried again, and the others begun.
    """

    def __init__(
        self,
        builds: Sequence[NodeBuild],
        client: Callable[[NodeEntry], NodeClient],
        *,
        run_name: str,
        again: bool,
        at_once: int,
        random: Random,
    ) -> None:
        """`at_once` at each site; a node without the label `site` is one of its own. `again`: there
        was a run of that name."""
        self.builds = builds
        self._client, self._run, self._again, self._random = client, run_name, again, random
        sites = {_site(build.entry) for build in builds}
        self._gates = {site: asyncio.Semaphore(at_once) for site in sites}

    async def run(self) -> None:
        """Raises nothing but a cancellation; how each one went is in it."""
        await asyncio.gather(*map(self._one, self.builds))

    async def _one(self, build: NodeBuild) -> None:
        async with self._gates[_site(build.entry)]:
            build.begun_at = time.monotonic()
            try:
                async with self._link(build.entry) as client:
                    await self._build(build, client)
            except ProblemError as problem:
                build.problem, build.stage = problem, "failed"
            else:
                build.stage = "done"
            build.seconds = time.monotonic() - build.begun_at

    async def _build(self, build: NodeBuild, client: NodeClient) -> None:
        build.stage = "under way"
        build.known = await client.engines.list()
        job = await build.begin(client, self._key(build.entry.name, build.model, build.what))
        # What failed in the run that is resumed is tried once more, and that is found, too.
        while self._again and job.state in ENDED - _WELL:
            job = await client.retry_job(job.id, self._key(job.id))

        def seen(job: Job) -> None:
            build.job = job

        seen(job)
        build.job = await see_through(client, job, random=self._random, seen=seen)

    @contextlib.asynccontextmanager
    async def _link(self, entry: NodeEntry) -> AsyncIterator[NodeClient]:
        client = self._client(entry)
        try:
            yield client
        finally:
            await client.close()

    def _key(self, *of: str) -> str:
        """An idempotency key: the same in every run of this name."""
        return hashlib.sha256("\n".join([self._run, *of]).encode()).hexdigest()[:32]


def _site(entry: NodeEntry) -> str:
    return entry.labels.get(SITE, f"@{entry.name}")
