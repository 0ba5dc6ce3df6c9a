"""What the table makes of events, against a server that tells many at once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.agent.containers.answers import ID, inspect_answer
from tests.agent.containers.scripted import QUICK, ScriptedRuntime, following
from tests.waiting import until


def event(action: str, container_id: str) -> bytes:
    """As Docker writes it."""
    told = {"Type": "container", "Action": action, "Actor": {"ID": container_id}}
    return json.dumps(told).encode() + b"\n"


class Events:
    """A stream of events that a test feeds."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    def tell(self, *events: bytes) -> None:
        """All in one piece."""
        self._queue.put_nowait(b"".join(events))

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            data = await self._queue.get()
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await writer.drain()


async def test_a_burst_of_events_is_one_change(scripted: ScriptedRuntime, tmp_path: Path) -> None:
    events = Events()
    scripted.answer("/events", events)
    scripted.containers = []
    async with following(scripted, tmp_path) as runtime:
        await runtime.facts()
        ids = [f"{number:064x}" for number in range(200)]
        scripted.containers = [
            inspect_answer(Id=one, Name=f"/c{number}") for number, one in enumerate(ids)
        ]
        changes = 0

        def changed() -> None:
            nonlocal changes
            changes += 1

        runtime.on_change(changed)
        actions = ("create", "attach", "start", "exec_create: sh", "exec_die")
        events.tell(*(event(action, one) for one in ids for action in actions))
        await until(lambda: len(runtime.containers()) == 200)
        assert changes <= 2
        looks = [one for one in scripted.asked if one.endswith(f"{ids[7]}/json")]
        assert len(looks) <= 2


async def test_exec_and_health_checks_are_not_looked_at(
    scripted: ScriptedRuntime, tmp_path: Path
) -> None:
    events = Events()
    scripted.answer("/events", events)
    async with following(scripted, tmp_path, QUICK) as runtime:
        await until(lambda: ID in runtime.containers())
        before = [one for one in scripted.asked if one.endswith(f"{ID}/json")]
        quiet = ("exec_create: test -e x", "exec_start: test -e x", "exec_die", "top", "resize")
        events.tell(*(event(action, ID) for action in quiet))
        scripted.containers.append(inspect_answer(Id="5" * 64, Name="/five"))
        events.tell(event("start", "5" * 64))
        await until(lambda: "5" * 64 in runtime.containers())
        assert [one for one in scripted.asked if one.endswith(f"{ID}/json")] == before


async def test_an_event_that_comes_in_pieces(scripted: ScriptedRuntime, tmp_path: Path) -> None:
    events = Events()
    scripted.answer("/events", events)
    async with following(scripted, tmp_path) as runtime:
        await until(lambda: ID in runtime.containers())
        scripted.containers[0] = inspect_answer(Name="/renamed")
        told = event("rename", ID)
        for at in range(0, len(told), 10):
            events.tell(told[at : at + 10])
        await until(lambda: runtime.containers()[ID].name == "renamed")


async def test_a_container_that_is_removed(scripted: ScriptedRuntime, tmp_path: Path) -> None:
    events = Events()
    scripted.answer("/events", events)
    async with following(scripted, tmp_path) as runtime:
        await until(lambda: ID in runtime.containers())
        scripted.containers = []
        events.tell(event("destroy", ID))
        await until(lambda: runtime.containers() == {})


async def test_a_callback_that_fails_harms_nobody(
    scripted: ScriptedRuntime, tmp_path: Path
) -> None:
    told = asyncio.Event()

    def fails() -> None:
        raise RuntimeError("a mistake elsewhere")

    async with following(scripted, tmp_path) as runtime:
        await runtime.facts()
        runtime.on_change(fails)
        runtime.on_change(told.set)
        scripted.containers = []
        await told.wait()
        assert runtime.containers() == {}
        assert (await runtime.facts()).state == "ok"
