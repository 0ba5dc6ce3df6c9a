"""Layers that a load begins with before all are here."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from typing import Any, cast

import pytest

from agent.archives.writing import OpenLayer
from agent.images.arrival import Arrival
from agent.images.blobs import Blobs
from agent.images.uploads import Uploads
from agent.protocol.images import WantedLayer
from agent.protocol.problems import ProblemError
from tests.waiting import until

SIZE = 1000


class Incoming:
    """Uploads and blobs of which the test says how far they are."""

    def __init__(self, *names: str) -> None:
        self.offsets = dict.fromkeys(names, 0)
        self.whole: set[str] = set()
        self._changed = asyncio.Event()

    def come(self, name: str, offset: int) -> None:
        self.offsets[name] = offset
        if offset == SIZE:
            self.whole.add(name)
        self._changed.set()
        self._changed = asyncio.Event()

    async def next_change(self) -> None:
        await self._changed.wait()

    def has(self, diff_id: str) -> bool:
        return diff_id in self.whole

    def find(self, diff_id: str) -> Any:
        class State:
            offset = self.offsets[diff_id]

        return State()

    @property
    def wanted(self) -> list[WantedLayer]:
        return [WantedLayer(diff_id=name, size_bytes=SIZE) for name in self.offsets]


def arrival(
    incoming: Incoming,
    *,
    told: Callable[[int, int], None] = lambda _received, _total: None,
    stage: Callable[[str], None] = lambda _name: None,
    ended: Callable[[], bool] = lambda: False,
    late_seconds: float = 30.0,
    quiet_seconds: float = 60.0,
) -> Arrival:
    async def at(name: str) -> None:
        stage(name)

    return Arrival(
        cast("Blobs", incoming),
        cast("Uploads", incoming),
        lambda diff_id: cast("OpenLayer", io.BytesIO(diff_id.encode())),
        told=told,
        stage=at,
        ended=ended,
        late_seconds=late_seconds,
        quiet_seconds=quiet_seconds,
    )


async def test_layers_that_are_here_are_not_waited_for() -> None:
    incoming = Incoming("a")
    incoming.come("a", SIZE)
    made = arrival(incoming)
    await made.soon(incoming.wanted)
    assert made.open("a").read(10) == b"a"


async def test_whether_anything_comes_is_told_once_each_time() -> None:
    incoming, heard = Incoming("a", "b"), list[str]()
    made = arrival(incoming, stage=heard.append, quiet_seconds=0)
    waiting = asyncio.create_task(made.soon(incoming.wanted))
    once = ["receiving", "no sender"]
    await until(lambda: heard == once)
    incoming.come("b", 0)  # something changed, but no byte came
    incoming.come("a", 1)
    await until(lambda: heard == once * 2)
    incoming.come("a", SIZE)
    incoming.come("b", SIZE)
    await waiting
    await made.stop()
    assert heard[:4] == once * 2


async def test_a_fast_link_lets_the_load_begin_and_it_waits_for_each_layer() -> None:
    incoming = Incoming("a", "b")
    said: list[tuple[int, int]] = []
    made = arrival(incoming, told=lambda received, total: said.append((received, total)))
    waiting = asyncio.create_task(made.soon(incoming.wanted))
    for offset in range(0, SIZE, 100):
        incoming.come("a", offset + 1)
        await asyncio.sleep(0.1)
    await waiting
    assert not incoming.whole
    opening = asyncio.create_task(asyncio.to_thread(made.open, "b"))
    await asyncio.sleep(0.1)
    assert not opening.done()
    incoming.come("a", SIZE)
    incoming.come("b", SIZE)
    assert (await opening).read(10) == b"b"
    while said[-1] != (2 * SIZE, 2 * SIZE):  # noqa: ASYNC110 - the watch tells on its own time
        await asyncio.sleep(0.01)
    await made.stop()


async def test_a_slow_link_is_waited_for_to_its_end() -> None:
    incoming = Incoming("a", "b")
    made = arrival(incoming)
    waiting = asyncio.create_task(made.soon(incoming.wanted))
    for offset in range(5):
        incoming.come("a", offset)
        await asyncio.sleep(0.15)
    assert not waiting.done()
    incoming.come("a", SIZE)
    await asyncio.sleep(0.15)
    # What is left of `b` is far away at any rate that was seen, unless it comes.
    incoming.come("b", SIZE)
    await waiting
    assert made.open("b").read(10) == b"b"


async def test_what_stops_coming_ends_the_load_and_is_then_waited_for() -> None:
    incoming = Incoming("a", "b")
    made = arrival(incoming, late_seconds=0.1)
    waiting = asyncio.create_task(made.soon(incoming.wanted))
    for offset in range(0, SIZE, 100):
        incoming.come("a", offset + 1)
        await asyncio.sleep(0.1)
    await waiting
    with pytest.raises(ProblemError) as raised:
        await asyncio.to_thread(made.open, "b")
    assert raised.value.code == "blob.not_found"
    again = asyncio.create_task(made.soon(incoming.wanted))
    for offset in range(0, SIZE, 100):
        incoming.come("a", offset + 1)
        await asyncio.sleep(0.1)
    assert not again.done()
    incoming.come("a", SIZE)
    incoming.come("b", SIZE)
    await again


async def test_a_job_that_ended_waits_for_nothing() -> None:
    incoming = Incoming("a", "b")
    over = False
    made = arrival(incoming, ended=lambda: over)
    waiting = asyncio.create_task(made.soon(incoming.wanted))
    for offset in range(0, SIZE, 100):
        incoming.come("a", offset + 1)
        await asyncio.sleep(0.1)
    await waiting
    opening = asyncio.create_task(asyncio.to_thread(made.open, "b"))
    over = True
    with pytest.raises(ProblemError):
        await opening
    await made.stop()
