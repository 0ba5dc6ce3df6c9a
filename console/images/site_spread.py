"""One site: its layers go to one node over the slow link, and from there to the others."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random

from agent.archives.index import ArchiveIndex
from agent.protocol.images import Layer, WantedLayer
from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from agent.protocol.site import SiteGrant
from console.images.following import Follower, ended_well
from console.images.patience import GIVE_UP_SECONDS, LINK_TROUBLE
from console.images.progress import Progress
from console.images.push import PushState
from console.images.rate import Allowance
from console.images.site_seed import PATIENCE_SECONDS, Seed, answering
from console.link.client import NodeClient
from console.link.deadline import within

# What a seed can serve at once without each of them being slow.
FETCHES_AT_ONCE = 6
SURVEY_SECONDS = 10.0
# A fetch begins when this part of what a node lacks is there: not one job for each layer.
WORTH_FETCHING = 0.5
# How often one node may fail in the same way with one seed, until it goes the direct way.
TRIES = 2
# The network between the two, or the seed itself.
_WAY = frozenset({"site.unreachable", "site.fingerprint", "site.cut"})
_AGAIN = frozenset({"site.refused", "site.lacks", "site.cut"})


class SiteSpread:
    """The nodes of one site, for one run. Each one's push asks `bring` before it sends.

    Args:
        layers: sizes by diff_id of all that is pushed: who has the most of it is the seed.
        allowance: what each node may be sent.
    """

    def __init__(
        self,
        clients: Mapping[str, NodeClient],
        layers: Mapping[str, int],
        *,
        allowance: Callable[[], Allowance],
        at_once: int,
        random: Random,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._clients, self._layers = dict(clients), dict(layers)
        self._allowance, self._at_once = allowance, at_once
        self._random, self._changed = random, changed
        self._seed: Seed | None = None
        self._seeds: list[Seed] = []  # all that there were
        self._left_out: set[str] = set()
        self._none_left = False
        self._electing = asyncio.Lock()
        self._fetching = asyncio.Semaphore(FETCHES_AT_ONCE)
        self._filling: list[asyncio.Task[None]] = []
        self._fetches: set[asyncio.Task[None]] = set()
        self._apart: set[tuple[str, str]] = set()  # node, seed: one does not reach the other
        self._failures: Counter[tuple[str, str, str]] = Counter()
        self._states: dict[str, PushState] = {}
        self._ended: set[str] = set()
        self._fetched: dict[str, dict[str, int]] = {}  # node: bytes by seed
        self._unheard: dict[str, tuple[str, str]] = {}  # node and seed by job

    @property
    def seed(self) -> str | None:
        """The node that is the seed now."""
        return None if self._seed is None or self._seed.problem else self._seed.node

    async def begin(self) -> None:
        """Choose the seed, so that its own push can be the first."""
        await self._elected()

    def ended(self, node: str) -> None:
        """The push of this node has ended."""
        self._ended.add(node)
        if self._seed is not None and self._seed.node == node:
            self._seed.own_push_waits()

    def leave_out(self, node: str) -> None:
        """Send nothing more to this node; where it is the seed, the others find another one."""
        self._left_out.add(node)
        self.ended(node)
        seed = self._seed
        if seed is not None and seed.node == node and seed.problem is None:
            seed.fail(ProblemError("site.off", f"nothing more is sent to {node}"))
            self._filling[-1].cancel()

    async def end(self) -> None:
        """No push is under way any more."""
        tasks = [*self._filling, *self._fetches]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def settle(self) -> None:
        """Hear of fetches that have just ended, and of those that ended while a link was cut."""
        if under_way := [task for task in self._fetches if not task.done()]:
            await asyncio.wait(under_way, timeout=SURVEY_SECONDS)
        for job_id, (node, _) in list(self._unheard.items()):
            with contextlib.suppress(ProblemError, asyncio.TimeoutError):
                self._count(await within(SURVEY_SECONDS, self._clients[node].job(job_id)))

    def _count(self, job: Job) -> None:
        """What a fetch job brought, once."""
        if job.state in ENDED and job.id in self._unheard:
            node, seed = self._unheard.pop(job.id)
            came = int(job.result.get("received_bytes", "0"))
            by_seed = self._fetched.setdefault(node, {})
            if job.state == "succeeded":
                by_seed[seed] = by_seed.get(seed, 0) + came

    async def bring(
        self,
        state: PushState,
        wanted: Sequence[WantedLayer],
        layers: Sequence[Layer],
        places: dict[str, ArchiveIndex],
    ) -> bool:
        """Have these layers on a node by way of the seed; False: the rest is to be sent directly.

        Raises:
            ProblemError: `link.*` of the node itself; `push.budget`.
        """
        node = state.node
        self._states[node] = state
        left = {layer.diff_id: layer for layer in layers}
        try:
            while left:
                seed = await self._elected()
                if seed is None or (node, seed.node) in self._apart:
                    return False
                seed.want(list(left.values()), places)
                if seed.node == node:
                    seed.own_push_waits(wanted)
                ready = await self._ready(seed, state, left)
                if not ready:  # it failed
                    self._check_budget(seed)
                    continue
                if seed.node == node or await self._fetch_or_blame(seed, state, ready):
                    left = {name: layer for name, layer in left.items() if layer not in ready}
        finally:
            state.note = None
        return True

    def sent_bytes(self, node: str) -> int:
        """What went to a node over the slow link as to a seed."""
        return sum(seed.sent_bytes for seed in self._seeds if seed.node == node)

    def fetched_bytes(self, node: str) -> int:
        """What a node fetched from seeds."""
        return sum(self._fetched.get(node, {}).values())

    def fetched_from(self, node: str) -> list[str]:
        """The seeds that it came from."""
        return list(self._fetched.get(node, {}))

    async def _ready(self, seed: Seed, state: PushState, left: Mapping[str, Layer]) -> list[Layer]:
        """Layers that the seed holds, when there are enough of them; none: it failed."""
        own = seed.node == state.node
        enough = sum(layer.size_bytes for layer in left.values()) * (1.0 if own else WORTH_FETCHING)
        while seed.problem is None:
            ready = [layer for name, layer in left.items() if name in seed.held]
            if ready and sum(layer.size_bytes for layer in ready) >= enough:
                return ready
            if not own:
                self._note(state, f"waits for {seed.node}, which gets the layers first")
            await seed.changed()
        return []

    async def _fetch_or_blame(self, seed: Seed, state: PushState, ready: Sequence[Layer]) -> bool:
        """Whether it fetched them. Else the next look at the seed says how it goes on."""
        try:
            grant = await seed.grant()
        except ProblemError as problem:
            if not await seed.answers(SURVEY_SECONDS) or problem.code.startswith("site."):
                seed.fail(problem)
            elif not self._may_try_again(state.node, seed, problem):
                self._apart.add((state.node, seed.node))
            return False
        self._note(state, f"fetches from {seed.node}")
        # The load may end a moment before this hears that the fetch has ended.
        fetch = asyncio.create_task(self._fetch(seed, state.node, grant, ready))
        self._fetches.add(fetch)
        try:
            await asyncio.shield(fetch)
        except ProblemError as problem:
            if problem.code.startswith(LINK_TROUBLE):
                raise
            await self._blame(seed, state.node, problem)
            return False
        return True

    async def _fetch(
        self, seed: Seed, node: str, grant: SiteGrant, layers: Sequence[Layer]
    ) -> None:
        """Have the node fetch them. Raises ProblemError: the job's, or `link.*` of the node."""
        client = self._clients[node]
        async with self._fetching:
            # Where the link to the node is cut, its push asks again, and finds the same job.
            job = await client.sites.fetch(grant, layers, secrets.token_hex(16))
            self._unheard[job.id] = node, seed.node
            self._count(ended_well(await Follower(client, job.id).until_ended()))

    async def _blame(self, seed: Seed, node: str, problem: ProblemError) -> None:
        """Find out whether it is the seed, the network between, or the node itself."""
        if problem.code.startswith("blob."):
            seed.fail(problem)  # what it serves is not the layer
            return
        if problem.code in _WAY and not await seed.answers(SURVEY_SECONDS):
            seed.fail(problem)
            return
        if problem.code in _AGAIN and self._may_try_again(node, seed, problem):
            if problem.code == "site.refused":
                seed.forget_grant()
            if problem.code == "site.lacks":
                await seed.look_again()
            return
        self._apart.add((node, seed.node))

    def _may_try_again(self, node: str, seed: Seed, problem: ProblemError) -> bool:
        self._failures[node, seed.node, problem.code] += 1
        return self._failures[node, seed.node, problem.code] <= TRIES

    async def _elected(self) -> Seed | None:
        """The seed, another one where it has failed; None: this site has none left."""
        async with self._electing:
            if self._seed is not None and self._seed.problem is None:
                return self._seed
            if self._none_left:
                return None
            self._seed = await self._elect()
            self._none_left = self._seed is None
            if self._seed is not None:
                if self._seed.node in self._ended:
                    self._seed.own_push_waits()
                self._seeds.append(self._seed)
                self._filling.append(asyncio.create_task(self._keep_filled(self._seed)))
            return self._seed

    async def _elect(self) -> Seed | None:
        """Of the nodes that listen the one with the most of the layers, then the first by name."""
        failed = {seed.node for seed in self._seeds} | self._left_out
        asked = [name for name in self._clients if name not in failed]
        found = await asyncio.gather(*map(self._holdings, asked))
        able = {name: held for name, held in zip(asked, found, strict=True) if held is not None}
        if not able:
            return None

        def rank(name: str) -> tuple[int, str]:
            return -sum(self._layers[each] for each in able[name]), name

        name = min(able, key=rank)
        return Seed(
            self._clients[name],
            held=able[name],
            allowance=self._allowance(),
            at_once=self._at_once,
            random=self._random,
            progress=lambda progress: self._progressed(name, progress),
        )

    async def _holdings(self, name: str) -> set[str] | None:
        """What a node could serve; None: it cannot be a seed, or does not answer."""
        client = self._clients[name]
        if not await answering(client, SURVEY_SECONDS):
            return None
        try:
            return await client.sites.held(list(self._layers)) & self._layers.keys()
        except ProblemError:
            return None

    async def _keep_filled(self, seed: Seed) -> None:
        still = 0.0
        while seed.problem is None:
            sent = seed.sent_bytes
            try:
                await seed.fill()
            except ProblemError as problem:
                still = still + PATIENCE_SECONDS if sent == seed.sent_bytes else 0.0
                # Where nobody there answers, it is the site's link: nobody else would do better.
                alone = problem.code.startswith(LINK_TROUBLE) and still < GIVE_UP_SECONDS
                if alone and not await self._others_answer(seed.node):
                    continue
                seed.fail(problem)

    async def _others_answer(self, node: str) -> bool:
        others = [client for name, client in self._clients.items() if name != node]
        answers = await asyncio.gather(*(answering(each, SURVEY_SECONDS) for each in others))
        return any(answer is not None for answer in answers)

    def _check_budget(self, seed: Seed) -> None:
        if seed.problem is not None and seed.problem.code == "push.budget":
            raise seed.problem

    def _progressed(self, node: str, progress: Progress) -> None:
        """The seed's own line shows what goes to it, as long as its push is under way."""
        state = self._states.get(node)
        if state is None or state.ended:
            return
        state.stage = "sending"
        state.total_bytes, state.done_bytes = progress.total_bytes, progress.done_bytes
        state.bytes_per_second = progress.bytes_per_second
        state.seconds_left = progress.seconds_left
        self._changed()

    def _note(self, state: PushState, text: str) -> None:
        state.note = text
        self._changed()
