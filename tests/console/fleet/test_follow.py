"""Following a fleet: live, silent, gone, refused, garbage; and nobody disturbs anybody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest

from agent.protocol.gpus import GpuSample
from console.fleet.cache import PictureCache
from console.fleet.follow import FleetFollower
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from tests.agent.doubles import GPU, FixedGpus
from tests.console.serving import (
    EVENTS_HEAD,
    JSON_HEAD,
    Misbehave,
    ServedAgent,
    chunk,
    event,
    misbehaving,
    serve_agent,
)
from tests.waiting import until

T = TypeVar("T")

SNAPSHOT = {
    "at": 1000.0,
    "sections": {
        "gpus": {"GPU-a": {"index": 0, "name": "T4", "state": "ok", "utilization_percent": 5}}
    },
}


def fleet(*entries: NodeEntry, cache: PictureCache | None = None) -> FleetFollower:
    links = Links({}, owner="maria", timeout=2)
    return FleetFollower(entries, links, cache=cache, random=Random(1))


def node(path: Path, name: str = "n") -> NodeEntry:
    return NodeEntry(name=name, address=f"unix://{path}")


def must(value: T | None) -> T:
    assert value is not None
    return value


def state_of(follower: FleetFollower, name: str = "n") -> str:
    return follower.nodes[name].state


def change(percent: int, id_: str) -> bytes:
    fields = {"GPU-a": {"utilization_percent": percent}}
    return event("change", {"at": 1001.0, "set": {"gpus": fields}}, id_)


class Scripted:
    """An agent that follows a script for each connection, and keeps the request heads."""

    def __init__(self, *scripts: list[bytes | float | asyncio.Event]) -> None:
        self.scripts = list(scripts)
        self.connections = 0

    async def __call__(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts[min(self.connections, len(self.scripts) - 1)]
        self.connections += 1
        for step in script:
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            else:
                writer.write(step)
                await writer.drain()


@pytest.fixture
async def following(served: ServedAgent) -> AsyncIterator[FleetFollower]:
    follower = fleet(served.entry)
    await follower.start()
    yield follower
    await follower.stop()


async def test_a_node_is_live(following: FleetFollower, served: ServedAgent) -> None:
    view = following.nodes["t4"]
    await until(lambda: view.state == "live")
    assert [gpu.uuid for gpu in must(view.facts()).gpus] == [GPU.uuid]
    assert [gpu.utilization_percent for gpu in view.gpus()] == [40]
    assert [container.name for container in view.containers()] == ["detector"]
    assert must(view.node()).runtime_state == "ok"
    assert view.clock_offset_seconds is not None
    assert view.clock_uncertainty_seconds is not None
    assert abs(view.clock_offset_seconds) <= view.clock_uncertainty_seconds + 0.05
    assert view.bytes_received > 500
    assert not view.cached

    following.take_changed()
    calls: list[float] = []
    following.on_change(lambda: calls.append(time.monotonic()))
    gpus = served.node.gpu
    assert isinstance(gpus, FixedGpus)
    gpus.sample = GpuSample(uuid=GPU.uuid, utilization_percent=77.0)
    await until(lambda: view.gpus()[0].utilization_percent == 77)
    assert following.take_changed() == {"t4"}
    assert len(calls) == 1
    assert following.take_changed() == set()


async def test_requests_go_over_the_same_client(following: FleetFollower) -> None:
    assert following.client("t4") is following.client("t4")
    assert (await following.client("t4").node()).name == "t4"


async def test_an_agent_that_restarts_is_found_again(short_folder: Path) -> None:
    follower = fleet(node(short_folder / "agent.sock", "t4"))
    view = follower.nodes["t4"]
    await follower.start()
    await until(lambda: view.problem)
    assert (view.state, must(view.problem).code) == ("offline", "link.socket_missing")
    async with serve_agent(short_folder):
        follower.retry()
        await until(lambda: view.state == "live")
        assert view.problem is None
    await until(lambda: view.state == "offline")
    assert view.gpus()[0].name == GPU.name  # what was known stays
    async with serve_agent(short_folder):
        follower.retry("t4")
        await until(lambda: view.state == "live")
    await follower.stop()


async def test_a_cut_stream_is_resumed(short_folder: Path) -> None:
    heads: list[bytes] = []
    agent = Scripted(
        [EVENTS_HEAD, event("snapshot", SNAPSHOT, "b-1"), change(6, "b-2"), 0.1],
        [EVENTS_HEAD, change(7, "b-3"), 30.0],
    )

    follower = fleet(node(short_folder / "s"))
    view = follower.nodes["n"]
    async with misbehaving(short_folder / "s", agent, heads=heads):
        await follower.start()
        await until(lambda: view.sections and view.gpus()[0].utilization_percent == 6)
        await until(lambda: view.gpus()[0].utilization_percent == 7)
        assert view.state == "live"
        await follower.stop()
    assert b"last-event-id" not in heads[0]
    assert b"last-event-id: b-2\r\n" in heads[1]


async def test_silence_is_stale_and_then_cut(short_folder: Path) -> None:
    go_on = asyncio.Event()
    agent = Scripted(
        [EVENTS_HEAD, event("snapshot", SNAPSHOT, "b-1"), go_on, chunk(b":\n\n"), 30.0]
    )
    async with misbehaving(short_folder / "s", agent):
        follower = fleet(node(short_folder / "s"))
        await follower.start()
        view, one = follower.nodes["n"], follower._followers["n"]
        await until(lambda: view.state == "live")
        now = time.monotonic()
        one.look_at_silence(now + 24)
        assert state_of(follower) == "live"
        follower.take_changed()
        one.look_at_silence(now + 26)
        assert state_of(follower) == "stale"
        assert follower.take_changed() == {"n"}
        go_on.set()  # a comment is a sign of life
        await until(lambda: view.state == "live")
        one.look_at_silence(time.monotonic() + 26)
        one.look_at_silence(time.monotonic() + 46)
        await until(lambda: view.state == "offline")
        assert must(view.problem).code == "link.stale"
        await follower.stop()


async def test_one_that_never_says_anything_is_cut_too(short_folder: Path) -> None:
    """Bytes alone are no sign of life: an event or a comment must be whole."""
    drip: list[bytes | float | asyncio.Event] = [chunk(b"x"), 0.02]
    agent = Scripted([EVENTS_HEAD, *drip * 50, 30.0])
    async with misbehaving(short_folder / "s", agent):
        follower = fleet(node(short_folder / "s"))
        await follower.start()
        one = follower._followers["n"]
        await until(lambda: one._stream is not None)
        one.look_at_silence(time.monotonic() + 26)
        assert state_of(follower) == "connecting"
        one.look_at_silence(time.monotonic() + 46)
        await until(lambda: state_of(follower) == "offline")
        assert must(follower.nodes["n"].problem).code == "link.stale"
        await follower.stop()


HELD = 30.0
BAD: dict[str, tuple[Misbehave, str, str]] = {
    "silent": (Scripted([HELD]), "connecting", ""),
    "hangs-up": (Scripted([]), "offline", "link.unreachable"),
    "garbage": (Scripted([b"\x00\xff" * 500, HELD]), "offline", "link.garbage"),
    "json": (Scripted([JSON_HEAD, chunk(b"{}"), HELD]), "offline", "link.garbage"),
    "no-snapshot": (Scripted([EVENTS_HEAD, HELD]), "connecting", ""),
    "change-first": (Scripted([EVENTS_HEAD, change(1, "b-1"), HELD]), "offline", "link.garbage"),
    "bad-record": (
        Scripted(
            [
                EVENTS_HEAD,
                event("snapshot", {"at": 1, "sections": {"gpus": {"x": {"index": "y"}}}}, "b-1"),
                HELD,
            ]
        ),
        "offline",
        "link.garbage",
    ),
    "newer": (
        Scripted([EVENTS_HEAD.replace(b"1.0", b"2.0", 1).replace(b"/2.0", b"/1.1"), HELD]),
        "refused",
        "link.api_unknown",
    ),
    "chatty": (
        Scripted([EVENTS_HEAD, *[chunk(b"data: " + b"x" * 60_000)] * 200]),
        "offline",
        "link.too_large",
    ),
}


async def test_bad_nodes_disturb_nobody(short_folder: Path) -> None:
    async with AsyncExitStack() as stack:
        entries = [node(short_folder / "nobody", "dead")]
        for name, (misbehave, _, _) in BAD.items():
            await stack.enter_async_context(misbehaving(short_folder / name, misbehave))
            entries.append(node(short_folder / name, name))
        served = await stack.enter_async_context(serve_agent(short_folder, "good"))
        follower = fleet(*entries, served.entry, NodeEntry(name="odd", address="gopher://x"))
        await follower.start()
        nodes = follower.nodes
        await until(lambda: nodes["good"].state == "live")
        for name, (_, state, code) in BAD.items():
            await until(lambda name=name, state=state: nodes[name].state == state)  # type: ignore[misc]
            problem = nodes[name].problem
            assert (problem.code if problem else "") == code
        await until(lambda: nodes["odd"].state == "refused")
        # The good one goes on all the while.
        seen = must(nodes["good"].seen_at)
        gpus = served.node.gpu
        assert isinstance(gpus, FixedGpus)
        gpus.sample = GpuSample(uuid=GPU.uuid, utilization_percent=81.0)
        await until(lambda: nodes["good"].gpus()[0].utilization_percent == 81)
        assert (nodes["good"].seen_at or 0) >= seen
        await follower.stop()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("follow")]


async def test_a_bad_change_begins_the_picture_anew(short_folder: Path) -> None:
    agent = Scripted(
        [
            EVENTS_HEAD,
            event("snapshot", SNAPSHOT, "b-1"),
            event("change", {"at": 1, "set": {"gpus": {"GPU-a": {"index": "x"}}}}, "b-2"),
            HELD,
        ],
        [EVENTS_HEAD, event("snapshot", {**SNAPSHOT, "at": 2000.0}, "b-2"), HELD],
    )
    async with misbehaving(short_folder / "s", agent):
        follower = fleet(node(short_folder / "s"))
        await follower.start()
        view = follower.nodes["n"]
        await until(lambda: view.state == "offline")
        assert must(view.problem).code == "link.garbage"
        assert view.gpus()[0].utilization_percent == 5  # readers see nothing bad
        await until(lambda: view.state == "live")
        assert agent.connections == 2
        await follower.stop()


async def test_a_refused_node_is_tried_when_asked(short_folder: Path) -> None:
    newer = EVENTS_HEAD.replace(b"Version: 1.0", b"Version: 2.0")
    agent = Scripted([newer, HELD], [EVENTS_HEAD, event("snapshot", SNAPSHOT, "b-1"), HELD])
    async with misbehaving(short_folder / "s", agent):
        follower = fleet(node(short_folder / "s"))
        await follower.start()
        await until(lambda: follower.nodes["n"].state == "refused")
        follower.retry("somebody else")
        await asyncio.sleep(0.05)
        assert agent.connections == 1
        follower.retry()
        await until(lambda: follower.nodes["n"].state == "live")
        await follower.stop()


async def test_the_cached_picture_is_shown_and_then_replaced(
    served: ServedAgent, short_folder: Path
) -> None:
    file = short_folder / "picture.json"
    first = fleet(served.entry, cache=PictureCache(file))
    assert not first.nodes["t4"].cached
    await first.start()
    await until(lambda: first.nodes["t4"].state == "live")
    await first.stop()

    cache = await asyncio.to_thread(PictureCache, file)
    second = await asyncio.to_thread(lambda: fleet(served.entry, cache=cache))
    view = second.nodes["t4"]
    assert (view.state, view.cached) == ("connecting", True)
    assert view.gpus()[0].name == GPU.name
    assert (view.age_seconds() or 0) < 60
    assert second.take_changed() == {"t4"}
    await second.start()
    await until(lambda: view.state == "live")
    assert not view.cached
    await second.stop()
