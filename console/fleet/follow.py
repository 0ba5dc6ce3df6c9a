"""Following all nodes at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING

from agent.protocol.problems import ProblemError
from console.fleet.back_off import BackOff, jitter
from console.fleet.cache import PictureCache
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.fleet.node_follower import NodeFollower
from console.fleet.open_files import raise_open_files
from console.fleet.picture import NodeView

if TYPE_CHECKING:
    from console.link.client import NodeClient

LOOK_EVERY_SECONDS = 1.0
SAVE_EVERY_SECONDS = 60.0


class FleetFollower:
    """The live picture of a fleet: one task for each node, none of which waits for another."""

    def __init__(
        self,
        entries: Iterable[NodeEntry],
        links: Links,
        *,
        cache: PictureCache | None = None,
        random: Random | None = None,
    ) -> None:
        """`cache` holds the last known picture, which is shown until a node answers."""
        self._links = links
        self._cache = cache
        self._views = {entry.name: NodeView(entry) for entry in entries}
        self._clients: dict[str, NodeClient] = {}
        self._changed: set[str] = set(self._views)
        self._callbacks: list[Callable[[], None]] = []
        rng = random or jitter()
        self._followers = {
            name: NodeFollower(
                view,
                lambda name=name: self.client(name),  # type: ignore[misc]
                back_off=BackOff(rng),
                changed=self._note,
            )
            for name, view in self._views.items()
        }
        self._tasks: list[asyncio.Task[None]] = []
        self.note: str | None = None  # what the user should know, from `start` on
        if cache is not None:
            cache.fill(self._views)

    @property
    def nodes(self) -> Mapping[str, NodeView]:
        """All nodes by name, in the fleet's order."""
        return MappingProxyType(self._views)

    async def start(self) -> None:
        """Begin to follow, with as many open files as that needs, or a note."""
        self.note = raise_open_files(view.entry for view in self._views.values())
        self._tasks = [
            asyncio.create_task(follower.run(), name=f"follow {name}")
            for name, follower in self._followers.items()
        ]
        self._tasks.append(asyncio.create_task(self._look_after(), name="look after the fleet"))

    async def stop(self) -> None:
        """Stop following, save the picture, close every link."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._cache is not None:
            await self._cache.save(self._views)
        clients, self._clients = self._clients, {}
        await asyncio.gather(*(client.close() for client in clients.values()))

    def take_changed(self) -> set[str]:
        """Names of the nodes that have changed since the last call; all of them at first."""
        changed, self._changed = self._changed, set()
        return changed

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have `callback` called once when something changes, then not until `take_changed`."""
        self._callbacks.append(callback)

    def client(self, node: str) -> NodeClient:
        """The client of a node, over the link that it is followed by.

        Raises:
            ProblemError: `fleet.node_unknown`, `fleet.address`.
        """
        if node not in self._views:
            raise ProblemError(
                "fleet.node_unknown",
                f"there is no node {node!r}",
                params={"node": node},
                hint="See the names: roost node ls",
            )
        if node not in self._clients:
            self._clients[node] = self._links.client(self._views[node].entry)
        return self._clients[node]

    def retry(self, node: str | None = None) -> None:
        """Try one node now, or all that wait to be tried again."""
        for name, follower in self._followers.items():
            if node in (None, name):
                follower.retry()

    def _note(self, node: str) -> None:
        first = not self._changed
        self._changed.add(node)
        if first:
            for callback in self._callbacks:
                callback()

    async def _look_after(self) -> None:
        """Notice silence, and save the picture now and then."""
        save_at = time.monotonic() + SAVE_EVERY_SECONDS
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            now = time.monotonic()
            for follower in self._followers.values():
                follower.look_at_silence(now)
            if self._cache is not None and now >= save_at:
                await self._cache.save(self._views)
                save_at = time.monotonic() + SAVE_EVERY_SECONDS
