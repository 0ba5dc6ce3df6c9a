"""The process that steers one rollout, from its journal; what it did before is found there.

Only one steers a rollout: it holds a lock that the kernel frees, however it ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from agent.protocol.deployments import ApplyRequest
from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.rollouts.agent_work import NO_WORKLOADS
from console.rollouts.asks import Ask, Seen, Want
from console.rollouts.journal import Asked, Journal
from console.rollouts.jumps import JumpWatch
from console.rollouts.ledger import RUNNER
from console.rollouts.node_work import ask_node
from console.rollouts.preparing import Preparer
from console.rollouts.record import ENDED, Event, Rollout, RolloutNode
from console.rollouts.steering import Steering

T = TypeVar("T")

# How soon the same is asked of a node again. A lease is renewed often enough to bear some cuts.
AGAIN_SECONDS: Mapping[Ask, float] = {
    "prepare": 2.0,
    "apply": 2.0,
    "look": 1.0,
    "renew": 5.0,
    "arms": 2.0,
    "reach": 60.0,
    "confirm": 1.0,
    "revert": 1.0,
}
# Where very many are asked the same, each is asked less often: so many questions a second of one
# kind, and a node no less often than so. Who goes back is waited for, and soon there.
PER_SECOND: Mapping[Ask, float] = {"renew": 25, "arms": 25, "revert": 100, "look": 100}
# The longer a node takes, the less often it is asked how far it is: each such part of that time.
AS_IT_LASTS: frozenset[Ask] = frozenset({"look", "confirm", "revert"})
PART = 5
AT_LEAST_SECONDS = 10.0
# All nodes of a wave may be asked in the same moment; links and files are bounded.
AT_ONCE = 64
# Of those that did not answer the last time: each may hang for as long as a link's patience lasts,
# and the others do not wait for that.
SILENT_AT_ONCE = 32


class Pace(NamedTuple):
    """How often a runner does what; seconds."""

    again: Mapping[Ask, float] = AGAIN_SECONDS
    tick: float = 0.5
    standing: float = 2.0  # a tick while nothing is under way, and nodes may return
    lost: float = 10.0  # until a lost node is asked again
    journal: float = 5.0  # until a journal that cannot be used is tried again


CALM = Pace()

log = logging.getLogger(__name__)


class Runner:
    """Steers one rollout until it has ended."""

    def __init__(
        self,
        journal: Journal,
        rollout_id: str,
        *,
        entries: Mapping[str, NodeEntry],
        client: Callable[[NodeEntry], NodeClient],
        preparer: Preparer | None = None,
        pace: Pace = CALM,
        stands: bool = True,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`client` makes a node's; it is kept while the runner is at work on that node.

        `preparer` None: the rollout has no archives.
        With `stands` it goes on after the rollout's end while nodes may still catch up, and lost
        ones are asked. `wall` is the time of day.
        """
        self._journal, self._id = journal, rollout_id
        self._entries, self._make = entries, client
        self._preparer = preparer or Preparer(rollout_id)
        self._pace, self._stands = pace, stands
        self._clients: dict[str, NodeClient] = {}
        self._asking: dict[str, asyncio.Task[Seen]] = {}
        self._wants: dict[str, Want] = {}  # what each was asked last
        self._told: dict[str, str] = {}  # each node's last trouble: the same is not told again
        self._clock = JumpWatch(wall, time.monotonic)
        self._asked: dict[Want, float] = {}  # when, by a clock that nobody sets
        self._requests: dict[str, ApplyRequest] = {}  # as the plan has them: they never change
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._gate_of_silent = asyncio.Semaphore(SILENT_AT_ONCE)
        self._silent: set[str] = set()  # names of nodes that did not answer the last time
        self._events: list[Event] = []

    async def run(self) -> Rollout:
        """Until the rollout has ended. Blocks nothing but its own thread of work.

        Raises:
            ProblemError: `rollout.*`. A journal that cannot be used for the moment is tried again:
                nothing is done meanwhile, and nodes go back by themselves.
        """
        rollout = await asyncio.to_thread(self._journal.whole, self._id)
        judged = await asyncio.to_thread(self._journal.judged, self._id)
        steering = Steering(rollout, self._events.append, judged)
        try:
            # Also one that has ended may have to go back, or to be tried again.
            while await self._round(steering) or self._goes_on(rollout):
                pass
            return rollout
        finally:
            for task in self._asking.values():
                task.cancel()
            await asyncio.gather(*self._asking.values(), return_exceptions=True)
            await self._preparer.stop()
            for client in self._clients.values():
                await client.close()

    async def _round(self, steering: Steering) -> bool:
        """Hear, decide, write down, and only then ask; whether there were wishes."""
        wishes = await self._patiently(lambda: self._journal.wishes(self._id))
        before = msgspec.json.encode(steering.rollout)
        now, jumped = self._clock.look()
        if jumped:
            steering.jumped(jumped, now)
        if wishes:
            steering.see_newer(await self._patiently(lambda: self._journal.newer(self._id)))
        for wish in wishes:
            if why := steering.wish(wish.wish, wish.by, now):
                self._events.append(Event(at=now, by=wish.by, what=f"not {wish.wish}", why=why))
        for name in [name for name, task in self._asking.items() if task.done()]:
            self._hear(steering, name, self._asking.pop(name), now)
        steering.step(now)
        preparing = {node.name for node in steering.rollout.nodes if node.stage == "preparing"}
        self._events += await self._preparer.only(preparing)
        await self._save(steering, wishes, before)
        if steering.rollout.stands_until is not None:
            # After what is to begin was written down: whoever comes later is refused by that.
            newer = await self._patiently(lambda: self._journal.superseded(self._id))
            before = msgspec.json.encode(steering.rollout)
            steering.supersede(newer, now)
            await self._save(steering, (), before)
        if not self._goes_on(steering.rollout):
            return bool(wishes)
        wants = steering.wants()
        crowds = Counter(want.ask for want in wants)
        for want in wants:
            self._ask(steering.rollout, want, crowds[want.ask], now)
        await self._wait(steering.rollout)
        return bool(wishes)

    def _goes_on(self, rollout: Rollout) -> bool:
        return rollout.wants_runner and (self._stands or rollout.state not in ENDED)

    async def _wait(self, rollout: Rollout) -> None:
        if not self._asking:
            ended = rollout.state in ENDED
            await asyncio.sleep(self._pace.standing if ended else self._pace.tick)
            return
        await asyncio.wait(
            self._asking.values(), timeout=self._pace.tick, return_when=asyncio.FIRST_COMPLETED
        )
        # Where many answer, they are heard, and written down, together.
        await asyncio.sleep(self._pace.tick / 10)

    async def _save(self, steering: Steering, wishes: Sequence[Asked], before: bytes) -> None:
        """Write down what is other than it was, and why."""
        rollout, anew = steering.rollout, steering.judged_anew
        if not (wishes or self._events or anew) and msgspec.json.encode(rollout) == before:
            return
        events, judged = list(self._events), {name: steering.judged[name] for name in anew}
        await self._patiently(lambda: self._journal.save(rollout, events, wishes, judged))
        self._events.clear()
        anew.clear()

    async def _patiently(self, work: Callable[[], T]) -> T:
        """Until the journal can be used; nothing is asked of any node meanwhile."""
        while True:
            try:
                return await asyncio.to_thread(work)
            except ProblemError as problem:
                if problem.code != "rollout.journal":
                    raise
                log.warning("%s; it is tried again", problem.detail)
                await asyncio.sleep(self._pace.journal)

    def _ask(self, rollout: Rollout, want: Want, crowd: int, at: float) -> None:
        """`crowd`: of how many nodes the same is wanted. `at` is Unix time."""
        now = time.monotonic()
        if want.node in self._asking:
            return
        node = next(each for each in rollout.nodes if each.name == want.node)
        again = self._pace.lost if node.stage == "lost" else self._pace.again[want.ask]
        if want.ask in PER_SECOND:
            again = max(again, min(AT_LEAST_SECONDS, crowd / PER_SECOND[want.ask]))
        if want.ask in AS_IT_LASTS:
            again = max(again, min(AT_LEAST_SECONDS, (at - node.since) / PART))
        if now - self._asked.get(want, -1e9) < again:
            return
        self._asked[want], self._wants[want.node] = now, want
        # What it is at this moment: the record goes on while the node is asked.
        kept = msgspec.structs.replace(node)
        self._asking[want.node] = asyncio.create_task(self._answer(rollout, kept, want))

    async def _answer(self, rollout: Rollout, node: RolloutNode, want: Want) -> Seen:
        async with self._gate_of_silent if node.name in self._silent else self._gate:
            entry = self._entries.get(node.name)
            if entry is None:
                return Seen(node=node.name, what="unreached", why="fleet.yaml has it no more")
            if node.address not in ("", entry.address):  # that may be another machine
                why = f"fleet.yaml has it at {entry.address}, and it was planned at {node.address}"
                return Seen(node=node.name, what="unreached", why=why)
            client = self._clients.get(node.name)
            if client is None:
                client = self._clients[node.name] = self._make(entry)
            request = NO_WORKLOADS if rollout.kits else self._requests.get(node.name)
            if request is None:
                request = await asyncio.to_thread(self._journal.request, self._id, node.name)
                self._requests[node.name] = request
            return await ask_node(client, rollout, node, want, request, self._preparer)

    def _hear(self, steering: Steering, name: str, task: asyncio.Task[Seen], now: float) -> None:
        """Whatever goes wrong with one node is that node's trouble, and ends no runner."""
        try:
            seen = task.result()
            (self._silent.add if seen.what == "unreached" else self._silent.discard)(name)
            steering.hear(seen, now)
        except ProblemError as problem:
            why = problem.detail
        except Exception as error:
            log.exception("%s: what it answers cannot be used", name)
            why = f"what it answers cannot be used: {type(error).__name__}: {error}"
        else:
            return
        if self._told.get(name) != why:
            self._told[name] = why
            self._events.append(Event(at=now, by=RUNNER, what="trouble", node=name, why=why))
        tried = self._wants[name].ask == "apply"
        steering.hear(Seen(node=name, what="unreached", tried=tried, why=why), now)
