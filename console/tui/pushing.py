"""Pushes of archives to nodes, in the background of all screens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.text import age, plural
from console.tui.look import words
from console.tui.terms import Terms, command_line

if TYPE_CHECKING:
    from agent.archives.index import ArchiveIndex
    from console.images.push import PushState
    from console.images.sites import Account
    from console.tui.ports import Carrier, Convoy

# All share this console's uplink; more at once would only make each slower to be done.
NODES_AT_ONCE = 16


Ended = Callable[["NodePush"], None]


class NodePush:
    """One archive on its way to one node."""

    def __init__(
        self, entry: NodeEntry, archive: ArchiveIndex, terms: Terms, convoy: Convoy
    ) -> None:
        self.entry = entry
        self.node = entry.name
        self.archive = archive
        self.terms = terms
        self.convoy = convoy
        self.pusher = convoy.pusher(entry.name)
        self.begun = False
        self.stopped = False
        """This console sends no more; the node's job waits."""
        self.task: asyncio.Task[None] | None = None

    @property
    def state(self) -> PushState:
        return self.pusher.state

    @property
    def account(self) -> Account:
        """Which way its layers took, so far."""
        return self.convoy.account(self.state)

    @property
    def going_on(self) -> bool:
        return not self.stopped and not self.state.ended

    @property
    def failed(self) -> bool:
        return self.stopped or self.state.stage == "failed"

    @property
    def held_back(self) -> bool:
        """Not all was sent, because somebody said so."""
        problem = self.state.problem
        return self.stopped or (problem is not None and problem.code == "push.budget")

    @property
    def file(self) -> str:
        """The archive's name without its folders."""
        return self.archive.path.rpartition("/")[2]


class Pushes:
    """All of this run of the console: what goes on, and how the last ones ended."""

    def __init__(self, carrier: Carrier | None = None, folder: str = "~") -> None:
        """`folder`: where the first archive is looked for."""
        self.carrier = carrier
        self.folder = folder
        self.nodes: dict[str, NodePush] = {}
        """By the node's name: its last one."""
        self.version = 0
        """Another number whenever something has changed."""
        self.seen = True
        """Whether the person has seen how the last ones ended."""
        self.terms = Terms()
        """Those of the last push, which are suggested for the next one."""
        self._gate = asyncio.Semaphore(NODES_AT_ONCE)
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def going_on(self) -> list[NodePush]:
        return [push for push in self.nodes.values() if push.going_on]

    def begin(
        self,
        archive: ArchiveIndex,
        nodes: Sequence[NodeEntry],
        terms: Terms,
        ended: Ended = lambda _: None,
    ) -> None:
        """Send to these nodes; `ended` hears of each. What goes on to others goes on beside, and
        how those of before ended is forgotten.
        """
        if self.carrier is None:
            return
        self.terms = terms
        self.nodes = {name: push for name, push in self.nodes.items() if push.going_on}
        convoy = self.carrier.convoy(nodes, archive, terms, self._note)
        self._set_out([NodePush(entry, archive, terms, convoy) for entry in nodes], ended)

    def again(
        self, chosen: Sequence[NodePush], terms: Terms, ended: Ended = lambda _: None
    ) -> None:
        """Send once more what failed or was stopped; all of `chosen` were in one convoy."""
        first = chosen[0]
        self.terms = terms
        had = self.helpers_of(first)
        convoy = first.convoy.again([push.entry for push in chosen], had, terms)
        self._set_out([NodePush(push.entry, push.archive, terms, convoy) for push in chosen], ended)

    def helpers_of(self, push: NodePush) -> list[NodeEntry]:
        """Nodes that got the same in the same convoy, and have it now."""
        return [
            each.entry
            for each in self.nodes.values()
            if each.convoy is push.convoy and each.state.stage == "done"
        ]

    def _set_out(self, pushes: Sequence[NodePush], ended: Ended) -> None:
        self.seen = False
        convoy = pushes[0].convoy
        begun = asyncio.create_task(convoy.begin(), name="choosing the way to each site")
        left = len(pushes)

        async def one(push: NodePush) -> None:
            nonlocal left
            try:
                await self._run(push, begun)
            finally:
                left -= 1
                convoy.ended(push.node, stopped=push.stopped)
                if not left:
                    self._end(convoy, begun)
                self._note()
                ended(push)

        for push in pushes:
            self.nodes[push.node] = push
            push.task = asyncio.create_task(one(push), name=f"push to {push.node}")
        self._note()

    async def _run(self, push: NodePush, begun: asyncio.Task[None]) -> None:
        try:
            await asyncio.shield(begun)
            # Others wait for one that goes first: it waits for nobody.
            turn = nullcontext() if push.convoy.goes_first(push.node) else self._gate
            async with turn:
                push.begun = True
                self._note()
                await push.pusher.run()
        except asyncio.CancelledError:
            push.stopped = True
            raise
        except Exception as error:  # noqa: BLE001  # a mistake of Roost ends this push, and is told
            detail = f"{type(error).__name__}: {error}"[:500]
            push.state.problem = ProblemError("console.internal", detail)
            push.state.stage = "failed"

    def _end(self, convoy: Convoy, begun: asyncio.Task[None]) -> None:
        begun.cancel()
        ending = asyncio.create_task(convoy.end(), name="hearing of the last layers")
        self._endings.add(ending)
        ending.add_done_callback(self._has_ended)

    def _has_ended(self, ending: asyncio.Task[None]) -> None:
        self._endings.discard(ending)
        self._note()

    async def stop(self, nodes: Iterable[str] | None = None) -> None:
        """Send no more to these nodes, or to any at all, which ends everything. What is there
        stays, and their jobs wait."""
        chosen = list(self.nodes if nodes is None else nodes)
        tasks = [
            push.task
            for name in chosen
            if (push := self.nodes.get(name)) is not None and push.task is not None
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if nodes is None:
            endings = list(self._endings)
            for ending in endings:
                ending.cancel()
            await asyncio.gather(*endings, return_exceptions=True)

    def line(self) -> str | None:
        """All of them in one line; None where there is nothing to tell."""
        if not self.nodes:
            return None
        pushes = list(self.nodes.values())
        files = ", ".join(sorted({push.file for push in pushes}))
        running = [push for push in pushes if push.going_on]
        if not running:
            return None if self.seen else f"push of {files} ended: {outcome_words(pushes)}"
        ended = len(pushes) - len(running)
        terms = dict.fromkeys(push.terms.text for push in running)
        parts = [f"pushing {files}: {ended} of {plural(len(pushes), 'node')} ended"]
        return words.join([*parts, *_figures(pushes), *terms])

    def again_words(self) -> list[str]:
        """The commands that go on with what goes on now."""
        by_terms: dict[Terms, list[NodePush]] = {}
        for push in self.going_on:
            by_terms.setdefault(push.terms, []).append(push)
        return [
            command_line(
                sorted({push.archive.path for push in pushes}),
                [push.node for push in pushes],
                terms,
            )
            for terms, pushes in by_terms.items()
        ]

    def _note(self) -> None:
        self.version += 1


def outcome_words(pushes: Sequence[NodePush]) -> str:
    """ "2 done, 1 failed: cam-02"."""
    done = sum(push.state.stage == "done" for push in pushes)
    parts = [f"{done} done"] if done else []
    for word, chosen in (
        ("failed", [push.node for push in pushes if push.failed and not push.held_back]),
        ("stopped", [push.node for push in pushes if push.held_back]),
    ):
        if chosen:
            parts.append(f"{len(chosen)} {word}: {' '.join(sorted(chosen))}")
    return ", ".join(parts)


def _figures(pushes: Sequence[NodePush]) -> list[str]:
    states = [push.state for push in pushes]
    sending = [push.state for push in pushes if push.going_on and push.state.stage == "sending"]
    total = sum(state.total_bytes for state in states)
    rate = sum(state.bytes_per_second for state in sending)
    parts = []
    if total:
        done = sum(state.done_bytes for state in states)
        parts.append(f"{100 * done // total}% of {words.size(total)}")
    if rate:
        parts.append(f"{words.size(rate)}/s")
    left = [state.seconds_left for state in sending]
    known = [seconds for seconds in left if seconds is not None]
    # Of nodes whose turn has not come nobody knows what they lack.
    if known and len(known) == len(left) and all(push.begun for push in pushes):
        parts.append(f"{age(max(known))} left")
    return parts
