"""Delivers the notices of one rollout: each until it was taken, and none keeps the rollout up."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from random import Random
from typing import TypeVar

from agent.protocol.problems import ProblemError
from console.fleet.back_off import jitter
from console.rollouts.journal import Journal
from console.rollouts.ledger import RUNNER
from console.rollouts.notice_file import NoticeBook, Owed
from console.rollouts.notices import Target
from console.rollouts.record import Event
from console.rollouts.telling import NotToldError, tell
from console.text import age

LOOK_SECONDS = 0.5
FIRST_SECONDS, MOST_SECONDS = 1.0, 300.0
GIVE_UP_SECONDS = 24 * 3600.0
# How long a runner that is through waits for what is still owed.
LAST_SECONDS = 10.0

T = TypeVar("T")


class Notifier:
    """For one event loop. Who holds the rollout's lock may run one.

    Each target gets its notices in their order; one that does not answer keeps no other one up.
    """

    def __init__(
        self,
        journal: Journal,
        rollout_id: str,
        environment: Mapping[str, str],
        *,
        random: Random | None = None,
        send: Callable[[Owed, Mapping[str, str]], Awaitable[None]] = tell,
        first_seconds: float = FIRST_SECONDS,
    ) -> None:
        """`environment` is where secrets are that are named by a variable."""
        self._journal, self._id = journal, rollout_id
        self._book = NoticeBook(journal.folder, rollout_id)
        self._environment, self._send = environment, send
        self._random, self._first_seconds = random or jitter(), first_seconds
        self._under_way: dict[Target, asyncio.Task[None]] = {}
        self._taken: set[int] = set()  # also where the journal could not be told

    async def run(self) -> None:
        """Until it is cancelled. What is not delivered then stays owed."""
        try:
            while True:
                await self._look()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def last(self, seconds: float = LAST_SECONDS) -> None:
        """Wait until nothing is owed that is due, or was never tried; no longer than that."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            owed = await self._asked(self._book.owed)
            rests = owed is not None and all(each.tries and due > time.time() for due, each in owed)
            if rests and not any(not task.done() for task in self._under_way.values()):
                return
            await asyncio.sleep(LOOK_SECONDS / 5)

    async def _look(self) -> None:
        self._under_way = {
            target: task for target, task in self._under_way.items() if not task.done()
        }
        first: dict[Target, tuple[float, Owed]] = {}
        for due, owed in await self._asked(self._book.owed) or ():
            first.setdefault(owed.target, (due, owed))
        for target, (due, owed) in first.items():
            if due <= time.time() and target not in self._under_way:
                self._under_way[target] = asyncio.create_task(self._tell(owed))

    async def _tell(self, owed: Owed) -> None:
        try:
            if owed.number not in self._taken:
                await self._send(owed, self._environment)
                self._taken.add(owed.number)
        except NotToldError as error:
            await self._not_told(owed, str(error))
        else:
            await self._asked(partial(self._book.done, owed))

    async def _not_told(self, owed: Owed, why: str) -> None:
        """Later again, and at last not at all. The first time and the last are in the log."""
        now = time.time()
        if now - owed.since > GIVE_UP_SECONDS:
            await self._asked(partial(self._book.done, owed))
            why = f"{owed.target}: given up after {age(now - owed.since)}: {why}"
        else:
            pause = min(MOST_SECONDS, self._first_seconds * 2.0 ** min(owed.tries, 20))
            due = now + pause * self._random.uniform(0.75, 1.25)
            await self._asked(partial(self._book.later, owed, due))
            if owed.tries:
                return
            why = f"{owed.target}: {why}; it is tried again"
        event = Event(at=now, by=RUNNER, what="not told", why=why)
        await self._asked(partial(self._journal.note, self._id, event))

    async def _asked(self, work: Callable[[], T]) -> T | None:
        """None where the journal cannot be used now: the next look is soon."""
        with contextlib.suppress(ProblemError):
            return await asyncio.to_thread(work)
        return None


async def with_notices(work: Awaitable[T], notifier: Notifier) -> T:
    """What `work` comes to; notices are delivered meanwhile, and for a little longer."""
    telling = asyncio.create_task(notifier.run())
    try:
        found = await work
        await notifier.last()
        return found
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
