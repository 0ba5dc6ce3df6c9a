"""Pushes of archives to nodes, in the background of all screens."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from console.text import age, plural
from console.tui.look import words

if TYPE_CHECKING:
    from agent.archives.index import ArchiveIndex
    from console.images.push import PushState
    from console.tui.ports import Carrier, Pusher

# All share this console's uplink; more at once would only make each slower to be done.
NODES_AT_ONCE = 16


class NodePush:
    """One archive on its way to one node."""

    def __init__(self, node: str, archive: ArchiveIndex, pusher: Pusher) -> None:
        self.node = node
        self.archive = archive
        self.pusher = pusher
        self.begun = False
        self.stopped = False
        """This console sends no more; the node's job waits."""
        self.task: asyncio.Task[None] | None = None

    @property
    def state(self) -> PushState:
        return self.pusher.state

    @property
    def going_on(self) -> bool:
        return not self.stopped and not self.state.ended

    @property
    def failed(self) -> bool:
        return self.stopped or self.state.stage == "failed"

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
        self._gate = asyncio.Semaphore(NODES_AT_ONCE)

    @property
    def going_on(self) -> list[NodePush]:
        return [push for push in self.nodes.values() if push.going_on]

    def begin(
        self,
        archive: ArchiveIndex,
        nodes: Iterable[str],
        ended: Callable[[NodePush], None] = lambda _: None,
        *,
        again: bool = False,
    ) -> None:
        """Send to these nodes; `ended` hears of each. What goes on to others goes on beside.

        How those of before ended is forgotten, unless this is `again` some of them.
        """
        carrier = self.carrier
        if carrier is None:
            return
        if not again:
            self.nodes = {name: push for name, push in self.nodes.items() if push.going_on}
        self.seen = False
        names = list(nodes)
        for name in names:
            push = NodePush(name, archive, carrier.pusher(name, archive, len(names), self._note))
            self.nodes[name] = push
            push.task = asyncio.create_task(self._run(push, ended), name=f"push to {name}")
        self._note()

    async def _run(self, push: NodePush, ended: Callable[[NodePush], None]) -> None:
        try:
            async with self._gate:
                push.begun = True
                self._note()
                await push.pusher.run()
        except asyncio.CancelledError:
            push.stopped = True
            raise
        finally:
            self._note()
            ended(push)

    async def stop(self, nodes: Iterable[str] | None = None) -> None:
        """Send no more to these nodes, or to any. What is there stays, and their jobs wait."""
        chosen = list(self.nodes if nodes is None else nodes)
        tasks = [
            push.task
            for name in chosen
            if (push := self.nodes.get(name)) is not None and push.task is not None
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        parts = [f"pushing {files}: {ended} of {plural(len(pushes), 'node')} ended"]
        return ", ".join([*parts, *_figures(pushes)])

    def again_words(self) -> str:
        """The command that goes on with what goes on now."""
        running = self.going_on
        archives = sorted({push.archive.path for push in running})
        selector = ",".join(f"@{push.node}" for push in running)
        return f"roost image push {shlex.join(archives)} --to {shlex.quote(selector)}"

    def _note(self) -> None:
        self.version += 1


def outcome_words(pushes: Sequence[NodePush]) -> str:
    """ "2 done, 1 failed: cam-02"."""
    done = sum(push.state.stage == "done" for push in pushes)
    parts = [f"{done} done"] if done else []
    for word, chosen in (
        ("failed", [push.node for push in pushes if push.state.stage == "failed"]),
        ("stopped", [push.node for push in pushes if push.stopped]),
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
