"""Keeps hold of the node's runtime: finds its socket, follows it, and waits when it is away."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

import msgspec
from anyio import fail_after, move_on_after

from agent.containers.addresses import Trouble, try_address, worst
from agent.containers.connection import Connection, Patience
from agent.containers.follower import Follower
from agent.containers.refusals import problem_of, problem_of_trouble
from agent.containers.table import ContainerTable
from agent.containers.workers import Workers, WorkersBusyError
from agent.protocol.node import RuntimeFacts
from agent.protocol.problems import ProblemError

log = logging.getLogger(__name__)

# A runtime that was there is waited for this long before another one may take its place: on a
# node with both, a restart of Docker must not show Podman's containers.
STAY_SECONDS = 300.0
STARTING = Trouble("unreachable", "not asked yet")


class Keeper:
    """One task that never ends by itself; all that goes wrong becomes `facts.state`.

    Args:
        changed: called in the loop after the state changed.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        workers: Workers,
        table: ContainerTable,
        patience: Patience,
        *,
        changed: Callable[[], None],
    ) -> None:
        self._addresses = tuple(addresses)
        self._workers, self._table, self._patience = workers, table, patience
        self._changed = changed
        self._connection: Connection | None = None
        self._trouble: tuple[Trouble, str | None] = (STARTING, None)  # with the address
        self._lost_at: tuple[str, float] | None = None  # address and time of the last good one
        self._task: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()  # the attempt that `ready` waits for is over
        self._nudge = asyncio.Event()
        self.facts = RuntimeFacts(state=STARTING.state, reason=STARTING.reason)
        self.losses = 0  # how often a runtime that answered did not any more

    @property
    def connection(self) -> Connection | None:
        """The runtime, while it is reachable and the table is filled."""
        return self._connection

    def start(self) -> None:
        """Begin. A second call has no effect."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Let go."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def first_attempt(self) -> None:
        """Wait until the runtime answered or did not, the first time."""
        if self._trouble[0] is STARTING and self._connection is None:
            await self._attempt()

    async def ready(self) -> Connection:
        """The runtime; where it was away, after one more attempt just now.

        Raises:
            ProblemError: `runtime.unreachable`, `runtime.permission`.
        """
        if self._connection is None:
            await self._attempt()
        if self._connection is None:
            raise problem_of_trouble(*self._trouble)
        return self._connection

    async def _attempt(self) -> None:
        if self._task is None:
            return
        self._tried.clear()
        self._nudge.set()
        with move_on_after(self._patience.connect + self._patience.call):
            await self._tried.wait()

    async def _run(self) -> None:
        pause = self._patience.back_off_first
        while True:
            began = time.monotonic()
            try:
                trouble, address = await self._follow()
            except Exception as error:
                log.exception("following the runtime failed")
                trouble, address = Trouble("unreachable", f"the agent failed: {error!r}"), None
            if time.monotonic() - began > self._patience.list_every:
                pause = self._patience.back_off_first
            self._lost(trouble, address)
            jitter = random.uniform(0.8, 1.2)  # noqa: S311 - not a secret
            with move_on_after(pause * jitter):
                await self._nudge.wait()
            self._nudge.clear()
            pause = min(2 * pause, self._patience.back_off_most)

    async def _follow(self) -> tuple[Trouble, str | None]:
        """Follow what can be reached, until it cannot; says why."""
        trouble, address = await self._choose()
        if trouble is not None or address is None:
            return trouble or STARTING, address
        connection: Connection | None = None
        try:
            connection = await Connection.open(address, self._workers, self._patience)
            follower = Follower(
                connection, self._table, self._patience, facts=self._taker(connection)
            )
            await follower.follow()
        except ProblemError as problem:
            if problem.code == "runtime.permission":
                return Trouble("no_permission", problem.detail), address
            return Trouble("unreachable", problem.detail), address
        finally:
            if self._connection is not None:
                self._lost_at = (address, time.monotonic())
                self._connection = None
                self.losses += 1
            if connection is not None:
                connection.close()
        return Trouble("unreachable", f"{address} is not followed any more"), address

    def _taker(self, connection: Connection) -> Callable[[RuntimeFacts], None]:
        def take(facts: RuntimeFacts) -> None:
            differs = facts != self.facts
            self.facts = facts
            if self._connection is None:
                log.info("%s %s at %s", facts.name, facts.version, facts.address)
                self._connection = connection
                self._tried.set()
            if differs:
                self._changed()

        return take

    async def _choose(self) -> tuple[Trouble | None, str | None]:
        """The first address that lets us in, or what is wrong and with which."""
        addresses = self._addresses
        if self._lost_at and time.monotonic() - self._lost_at[1] < STAY_SECONDS:
            addresses = (self._lost_at[0],)
        troubles: list[tuple[Trouble, str]] = []
        for address in addresses:
            trouble = await self._try(address)
            if trouble is None:
                return None, address
            troubles.append((trouble, address))
        return worst(troubles)

    async def _try(self, address: str) -> Trouble | None:
        patience = self._patience.connect
        try:
            with fail_after(2 * patience):
                return await self._workers.run(lambda: try_address(address, timeout=patience))
        except (TimeoutError, WorkersBusyError) as error:
            return Trouble("unreachable", problem_of(error, address).detail)

    def _lost(self, trouble: Trouble, address: str | None) -> None:
        if trouble != self._trouble[0]:
            log.warning("no container runtime: %s", trouble.reason)
        self._trouble = (trouble, address)
        # What the runtime said of itself stays, as last known.
        facts = msgspec.structs.replace(
            self.facts,
            state=trouble.state,
            reason=trouble.reason,
            address=address or self.facts.address,
        )
        differs = facts != self.facts
        self.facts = facts
        self._tried.set()
        if self._table.containers:
            self._table.clear()
        elif differs:
            self._changed()
