"""Has nodes get what a release needs before anything of theirs changes: images, then engines.

What a killed runner had begun is found again on the node: layers that came, jobs by their keys.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Collection
from random import Random

from agent.protocol.deployments import ApplyRequest
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.rules.engine_keys import recipe_digest
from console.engines.build_times import EarlierBuild, earlier_build, seconds_left
from console.fleet.back_off import jitter
from console.images.following import see_through
from console.images.push import Push, PushState
from console.images.rate import RateLimit
from console.images.vetting import Vetting
from console.link.client import NodeClient
from console.rollouts.asks import Seen
from console.rollouts.ledger import RUNNER
from console.rollouts.needed_engines import NeededEngine
from console.rollouts.needs import NodeNeeds, Supplies, look_at, sends
from console.rollouts.record import Event, RolloutNode
from console.text import age, plural, size

# All share this console's uplink; more at once would only make each slower to be done.
NODES_AT_ONCE = 16
# Somebody may put the stick back in.
ARCHIVE_SECONDS = 10.0
_MAY_COME_BACK = ("archive.unreadable", "archive.missing")


# Has a node get what it needs; hears how far it is, and answers what was done.
Bring = Callable[[NodeClient, Callable[[str], None]], Awaitable[str]]


class _Work:
    """One node that is being prepared."""

    def __init__(self) -> None:
        self.task: asyncio.Task[str]
        self.touched = asyncio.Event()  # something is known of it
        self.words = ""  # how far it is

    def says(self, words: str) -> None:
        self.words = words
        self.touched.set()


class Preparer:
    """Prepares the nodes of one rollout, each in a task of its own. For one event loop."""

    def __init__(
        self,
        rollout_id: str,
        *,
        read: Callable[[], Supplies] | None = None,
        vetting: Vetting | None = None,
        random: Random | None = None,
        archive_seconds: float = ARCHIVE_SECONDS,
        bring: Bring | None = None,
    ) -> None:
        """`read` reads the rollout's archives, and blocks; None: there are none. `vetting` is
        stopped here. `bring` is all that is done, where this is no release of workloads."""
        self._bring = bring
        self._rollout, self._read, self._vetting = rollout_id, read, vetting
        self._random = random or jitter()
        self._events: list[Event] = []
        self._archive_seconds = archive_seconds
        self._limit = RateLimit(None)
        self._gate = asyncio.Semaphore(NODES_AT_ONCE)
        self._reading = asyncio.Lock()
        self._supplies: Supplies | None = None
        self._work: dict[str, _Work] = {}

    async def look(self, client: NodeClient, node: RolloutNode, request: ApplyRequest) -> Seen:
        """Begin, or say how far it is.

        Raises:
            ProblemError: why it cannot be prepared, or `link.*`, `ssh.*`: asked again, it goes on.
        """
        work = self._work.get(node.name)
        if work is None:
            work = self._work[node.name] = _Work()
            work.task = asyncio.create_task(self._prepare(work, client, node, request))
        # Until the node has answered once, nothing is known of it.
        touched = asyncio.create_task(work.touched.wait())
        try:
            await asyncio.wait({work.task, touched}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            touched.cancel()
        if not work.task.done():
            return Seen(node=node.name, what="preparing", why=work.words)
        self._work.pop(node.name, None)
        if work.task.cancelled():  # it is not wanted any more
            return Seen(node=node.name, what="preparing")
        return Seen(node=node.name, what="prepared", why=work.task.result())

    async def only(self, names: Collection[str]) -> list[Event]:
        """End what is done for other nodes than these; what came to them stays there.

        What has happened since the last time is the answer.
        """
        ending = [self._work.pop(name) for name in [*self._work] if name not in names]
        for work in ending:
            work.task.cancel()
        await asyncio.gather(*(work.task for work in ending), return_exceptions=True)
        events, self._events = self._events, []
        return events

    async def stop(self) -> None:
        """End all of it."""
        await self.only(())
        if self._vetting is not None:
            await self._vetting.stop()

    async def _prepare(
        self, work: _Work, client: NodeClient, node: RolloutNode, request: ApplyRequest
    ) -> str:
        """What was done, in words."""
        if self._bring is not None:
            work.says(f"waits: {plural(NODES_AT_ONCE, 'node')} are prepared at a time")
            async with self._gate:
                return await self._bring(client, work.says)
        supplies = await self._archives(work)
        needs = (await look_at(client, request, supplies)).needs
        for problem in needs.problems:
            raise ProblemError.from_problem(problem)
        if needs.nothing:
            return ""
        work.says(f"waits: {plural(NODES_AT_ONCE, 'node')} are prepared at a time")
        async with self._gate:
            done = ""
            if supplies is not None and sends(needs):
                done = await self._send(work, client, needs, supplies)
            # One GPU builds one at a time.
            built = [await self._build(work, client, node, each) for each in needs.builds]
        return ", ".join(filter(None, [done, *built]))

    async def _archives(self, work: _Work) -> Supplies | None:
        """Read once for all nodes. One that is not there is waited for."""
        read = self._read
        if read is None:
            return None
        told = False
        while self._supplies is None:
            try:
                async with self._reading:
                    if self._supplies is None:
                        self._supplies = await asyncio.to_thread(read)
            except ProblemError as problem:
                if problem.code not in _MAY_COME_BACK:
                    raise
                work.says(problem.detail)
                if not told:
                    self._say(None, "trouble", problem.detail)
                told = True
                await asyncio.sleep(self._archive_seconds)
        return self._supplies

    async def _send(
        self, work: _Work, client: NodeClient, needs: NodeNeeds, supplies: Supplies
    ) -> str:
        images = sends(needs)
        began = time.monotonic()

        def changed() -> None:
            work.says(_sending(push.state))

        push = Push(
            client,
            supplies.parcels.of(images),
            limit=self._limit,
            vetting=self._vetting,
            on_change=changed,
            random=self._random,
        )
        what = f"{', '.join(images)}, {size(needs.send_bytes)} before compression"
        self._say(client.name, "gets images", what)
        state = await push.run()
        if state.problem is not None:
            raise state.problem
        took = age(time.monotonic() - began)
        return f"{size(state.sent_bytes)} sent in {took}"

    async def _build(
        self, work: _Work, client: NodeClient, node: RolloutNode, engine: NeededEngine
    ) -> str:
        """Begin the build, or find the one that was begun, and wait for its end."""
        if engine.build is None:
            return ""
        mark = f"{self._rollout}.{node.attempt}\n{node.name}\n{engine.workload}"
        key = hashlib.sha256(mark.encode()).hexdigest()[:32]
        known = {node.name: await client.engines.list()}
        before = earlier_build(known, node.name, engine.model, recipe_digest(engine.build.recipe))
        job = await client.engines.build(engine.build, key)
        began = time.monotonic()
        likely = "" if before is None else f", about {age(before.seconds)}"
        self._say(client.name, "builds an engine", f"{engine.model}{likely}")

        def seen(job: Job) -> None:
            work.says(_building(engine.model, job, before, time.monotonic() - began))

        seen(job)
        ended = await see_through(client, job, random=self._random, seen=seen)
        how = ended.result.get("engine", "done")
        return f"engine of {engine.model} {how} in {age(time.monotonic() - began)}"

    def _say(self, node: str | None, what: str, why: str) -> None:
        self._events.append(Event(at=time.time(), by=RUNNER, what=what, node=node, why=why))


def _sending(state: PushState) -> str:
    """How far a push is."""
    if state.trouble is not None:
        return f"tries again: {state.trouble}"
    if state.stage == "sending" and state.total_bytes:
        left = "" if state.seconds_left is None else f", {age(state.seconds_left)} left"
        return f"gets images: {size(state.done_bytes)} of {size(state.total_bytes)}{left}"
    return "takes the images in" if state.stage == "waiting" else "gets images"


def _building(model: str, job: Job, before: EarlierBuild | None, running: float) -> str:
    """How far a build is."""
    left = seconds_left(job, before, running_seconds=running)
    return f"builds the engine of {model}" + ("" if left is None else f", {age(left)} left")
