"""Engines on many nodes: a few builds at a time at each site, each a job of its node."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random

import msgspec

from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from console.engines.node_build import NodeBuild
from console.engines.plan_sources import PlanSources
from console.fleet.inventory import NodeEntry
from console.images.following import see_through
from console.images.sites import LABEL
from console.link.client import NodeClient

_WELL = frozenset({"succeeded", "skipped"})
# A node that has not answered for so long keeps up no other one. It may be building still, on a
# link that is cut: whether it is, is looked into for as long as ever.
AWAY_SECONDS = 120.0


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
        away_seconds: float = AWAY_SECONDS,
    ) -> None:
        """`at_once` at each site; a node without the label `site` is one of its own. `again`: there
        was a run of that name."""
        self.builds = builds
        self._client, self._run, self._again, self._random = client, run_name, again, random
        sites = {_site(build.entry) for build in builds}
        self._gates = {site: asyncio.Semaphore(at_once) for site in sites}
        # Those that ended or are away: for each, that nobody need wait for it.
        self._free = {id(build): asyncio.Event() for build in builds}
        self._away_seconds = away_seconds
        self._plans = PlanSources(client)

    async def run(self) -> None:
        """Raises nothing but a cancellation; how each one went is in it."""
        try:
            await asyncio.gather(*map(self._one, self.builds))
        finally:
            await self._plans.close()

    async def _one(self, build: NodeBuild) -> None:
        if build.source is not None:  # before the gate, which that one has to pass, too
            await self._free[id(build.source)].wait()
        async with self._gates[_site(build.entry)]:
            whole = asyncio.create_task(self._whole(build))
            try:
                await self._free[id(build)].wait()
            except BaseException:
                whole.cancel()
                await asyncio.gather(whole, return_exceptions=True)
                raise
        await whole

    async def _whole(self, build: NodeBuild) -> None:
        build.begun_at = time.monotonic()
        try:
            async with self._link(build.entry) as client:
                await self._build(build, client)
        except ProblemError as problem:
            build.problem, build.stage = problem, "failed"
        else:
            build.stage = "done"
        finally:
            build.seconds, build.away = time.monotonic() - build.begun_at, None
            self._free[id(build)].set()

    async def _build(self, build: NodeBuild, client: NodeClient) -> None:
        build.stage = "under way"
        build.known = await client.engines.list()
        request, named = build.request, [build.entry.name, build.model, build.what]
        if build.source is not None:
            try:
                shared = await self._plans.plan_of(build.source)
            except ProblemError as problem:
                build.not_shared = f"{build.source.entry.name}: {problem.detail}"
            else:
                request = msgspec.structs.replace(request, shared=shared)
                # A key is good for one request, and a grant is another one in each run. What is
                # under way is found all the same.
                named.append(shared.grant.secret)
        job = await client.engines.build(request, self._key(*named))
        # What failed in the run that is resumed is tried once more, and that is found, too.
        while self._again and job.state in ENDED - _WELL:
            job = await client.retry_job(job.id, self._key(job.id))

        def seen(job: Job) -> None:
            build.job = job

        seen(job)
        watch = _Watch(build, self._free[id(build)], self._away_seconds)
        try:
            build.job = await see_through(
                client, job, random=self._random, seen=seen, told=watch.told
            )
        finally:
            watch.told(None)

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


class _Watch:
    """Sets `free` once the node of a build that is under way has not answered for so long."""

    def __init__(self, build: NodeBuild, free: asyncio.Event, seconds: float) -> None:
        self._build, self._free, self._seconds = build, free, seconds
        self._timer: asyncio.TimerHandle | None = None

    def told(self, why: str | None) -> None:
        """Why it does not answer; None: it does."""
        if why is None:
            self._build.away = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._seconds, self._gone, why)

    def _gone(self, why: str) -> None:
        self._build.away = f"it has not answered for {self._seconds:.0f} s: {why}"
        self._free.set()


def _site(entry: NodeEntry) -> str:
    return entry.labels.get(LABEL, f"@{entry.name}")
