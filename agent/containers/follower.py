"""Follows one runtime for as long as it answers: lists once, then goes by its events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable

import msgspec
from anyio import move_on_after

from agent.containers import actions
from agent.containers.api_stream import ApiStream, StreamBrokenError, StreamRefusedError
from agent.containers.connection import Connection, Patience
from agent.containers.facts import runtime_facts
from agent.containers.images_temporary import LABEL
from agent.containers.inspection import Inspected, listed
from agent.containers.refusals import understood
from agent.containers.table import ContainerTable
from agent.protocol.decoding import decoder_of
from agent.protocol.node import RuntimeFacts
from agent.protocol.problems import ProblemError

log = logging.getLogger(__name__)

# Events of a container that change nothing in its record. Health checks make three every time.
_QUIET_ACTIONS = (
    "exec_",
    "attach",
    "detach",
    "resize",
    "top",
    "export",
    "copy",
    "archive-path",
    "extract-to-dir",
    "commit",
    "mount",
    "unmount",
    "sync",
    "init",
)
EVENT_LIMIT_BYTES = 256 * 1024
# On Debian each answer costs Podman 1.3 s of CPU: it asks dpkg which packages its helpers are from.
PODMAN_FACTS_TIMES_RARER = 10


class _Actor(msgspec.Struct):
    id: str = msgspec.field(name="ID", default="")
    attributes: dict[str, object] | None = msgspec.field(name="Attributes", default=None)


class _Event(msgspec.Struct):
    action: str = msgspec.field(name="Action", default="")
    actor: _Actor = msgspec.field(name="Actor", default_factory=_Actor)


class Follower:
    """Keeps a table current by one connection.

    Args:
        facts: called with fresh facts, the first time when the table is filled.
    """

    def __init__(
        self,
        connection: Connection,
        table: ContainerTable,
        patience: Patience,
        *,
        facts: Callable[[RuntimeFacts], None],
    ) -> None:
        self._connection, self._table, self._patience = connection, table, patience
        self._on_facts = facts
        self._look_at: set[str] = set()
        self._wake = asyncio.Event()

    async def follow(self) -> None:
        """Follow until the runtime is gone.

        Raises:
            ProblemError: `runtime.*`; it never returns.
        """
        # Events from just before the list are asked for too, so that none is missed between.
        since = int(time.time()) - 1
        query: dict[str, str | int] = {
            "filters": json.dumps({"type": ["container"]}),
            "since": since,
        }
        async with self._connection.stream("GET", "/events", query=query) as events:
            # What is wrong with them, `_read_events` will meet again.
            with (
                contextlib.suppress(StreamRefusedError, StreamBrokenError),
                move_on_after(self._patience.connect),
            ):
                await events.answered()
            reading = asyncio.create_task(self._read_events(events))
            try:
                await self._keep_current(reading)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _keep_current(self, reading: asyncio.Task[None]) -> None:
        clock = asyncio.get_running_loop().time
        next_list = next_facts = clock()
        facts_every = self._patience.facts_every
        if self._connection.podman:
            facts_every *= PODMAN_FACTS_TIMES_RARER
        while True:
            if clock() >= next_list:
                self._look_at |= await self._list()
                next_list = clock() + self._patience.list_every
            looking, self._look_at = self._look_at, set()
            self._wake.clear()
            if looking:
                await self._table.look_at(looking, self._look)
            if clock() >= next_facts:
                self._on_facts(await self._facts())
                next_facts = clock() + facts_every
            if reading.done():
                reading.result()  # raises what ended it
            await self._doze(next_list - clock(), reading)

    async def _doze(self, seconds: float, reading: asyncio.Task[None]) -> None:
        """Until there is something to look at, the stream of events ends, or it is time."""
        waking = asyncio.create_task(self._wake.wait())
        try:
            await asyncio.wait(
                {waking, reading}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            waking.cancel()
        if self._wake.is_set() and not reading.done():
            await asyncio.sleep(self._patience.gather)

    async def _look(self, container_id: str) -> Inspected:
        return await actions.inspect(self._connection, container_id)

    async def _list(self) -> set[str]:
        entries = await self._connection.call(lambda client: client.containers(all=True))
        found = understood(lambda: [listed(entry) for entry in entries], self._connection.address)
        # Our own are nobody's business, and while one is read Docker answers nothing about it:
        # every other one would wait for that.
        return self._table.take_list([each for each in found if LABEL not in each.labels])

    async def _facts(self) -> RuntimeFacts:
        connection = self._connection
        version, info = await connection.call(lambda client: (client.version(), client.info()))
        return understood(
            lambda: runtime_facts(
                version, info, address=connection.address, api_version=connection.api_version
            ),
            connection.address,
        )

    async def _read_events(self, events: ApiStream) -> None:
        """Mark what events are about. Returns where the runtime tells no events at all."""
        address = self._connection.address
        line = b""
        decoder = decoder_of(_Event)
        try:
            while pieces := await events.read():
                *lines, line = (line + b"".join(piece.data for piece in pieces)).split(b"\n")
                for one in lines:
                    self._take_event(decoder, one)
                if len(line) > EVENT_LIMIT_BYTES:
                    raise ProblemError("runtime.refused", f"{address} sends an event without end")
        except StreamRefusedError as error:
            # Podman can be set to keep no events; the list still comes round.
            log.warning("%s tells no events: %s", address, error.message)
            await asyncio.Event().wait()
        except StreamBrokenError as error:
            raise ProblemError("runtime.unreachable", f"{address}: {error}") from error
        raise ProblemError("runtime.unreachable", f"{address} ended the stream of events")

    def _take_event(self, decoder: msgspec.json.Decoder[_Event], line: bytes) -> None:
        if not line.strip():
            return
        try:
            event = decoder.decode(line)
        except msgspec.DecodeError:
            log.warning("an event that cannot be read: %r", line[:200])
            return
        if LABEL in (event.actor.attributes or ()):
            return
        if event.actor.id and not event.action.startswith(_QUIET_ACTIONS):
            self._look_at.add(event.actor.id)
            self._wake.set()
