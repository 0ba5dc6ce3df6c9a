"""The containers of one runtime, by id, and which of them must be looked at again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from agent.containers.inspection import Inspected
from agent.protocol.containers import Container
from agent.protocol.problems import ProblemError

log = logging.getLogger(__name__)

LOOKS_AT_ONCE = 4


class ContainerTable:
    """Keeps every record until it really differs, so that its identity says "unchanged".

    Args:
        changed: called after `containers` became another mapping.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._known: dict[str, Inspected] = {}
        self._listed: dict[str, Container] = {}
        # Those whose inspection failed: shown as listed, and looked at again after each list.
        self._unseen: set[str] = set()
        self.containers: Mapping[str, Container] = {}

    def known(self, container_id: str) -> Inspected | None:
        """What is known of a container beyond its record."""
        return self._known.get(container_id)

    def clear(self) -> None:
        """Forget everything: the runtime is not reachable."""
        self._known.clear()
        self._listed.clear()
        self._unseen.clear()
        self._publish()

    def take_list(self, entries: Iterable[Container]) -> set[str]:
        """Compare with a fresh list; answers the ids that must be looked at."""
        self._listed = {entry.id: entry for entry in entries}
        for gone in [one for one in self._known if one not in self._listed]:
            del self._known[gone]
        self._unseen &= self._listed.keys()
        look_at = set(self._unseen)
        for container_id, entry in self._listed.items():
            known = self._known.get(container_id)
            if known is None or _differs(entry, known.container):
                look_at.add(container_id)
        self._publish()
        return look_at

    def put(self, one: Inspected) -> None:
        """Take in a container that was just inspected."""
        self._take(one)
        self._publish()

    async def look_at(
        self, ids: Iterable[str], look: Callable[[str], Awaitable[Inspected]]
    ) -> None:
        """Inspect these containers, a few at a time, and take in what was found, at once."""
        waiting = iter(list(ids))

        async def look_in_turn() -> None:
            for container_id in waiting:
                if not await self._look_at_one(container_id, look):
                    # Perhaps nothing answers any more: the next list tells, or looks again.
                    self._unseen.update(waiting)

        await asyncio.gather(*(look_in_turn() for _ in range(LOOKS_AT_ONCE)))
        self._publish()

    async def _look_at_one(
        self, container_id: str, look: Callable[[str], Awaitable[Inspected]]
    ) -> bool:
        """False where the runtime did not answer."""
        try:
            self._take(await look(container_id))
        except ProblemError as problem:
            if problem.code == "container.not_found":
                self._known.pop(container_id, None)
                self._listed.pop(container_id, None)
                self._unseen.discard(container_id)
                return True
            # One container can be stuck inside dockerd while all else works.
            if container_id not in self._unseen:
                log.warning("container %.12s cannot be inspected: %s", container_id, problem.detail)
            self._known.pop(container_id, None)
            self._unseen.add(container_id)
            return problem.code != "runtime.unreachable"
        return True

    def _take(self, one: Inspected) -> None:
        container_id = one.container.id
        self._unseen.discard(container_id)
        if self._known.get(container_id) != one:
            self._known[container_id] = one

    def _publish(self) -> None:
        records = {
            container_id: entry
            for container_id, entry in self._listed.items()
            if container_id in self._unseen
        }
        for container_id, one in self._known.items():
            old = self.containers.get(container_id)
            records[container_id] = old if old == one.container else one.container
        if not _same(records, self.containers):
            self.containers = records
            self._changed()


def _differs(entry: Container, known: Container) -> bool:
    return entry.state != known.state or entry.name != known.name


def _same(some: Mapping[str, Container], others: Mapping[str, Container]) -> bool:
    return len(some) == len(others) and all(
        others.get(container_id) is one for container_id, one in some.items()
    )
