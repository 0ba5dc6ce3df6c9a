"""The audit log when things go wrong: it is written before anything is done."""

from __future__ import annotations

import asyncio

import pytest

from agent.http.caller import Caller
from agent.protocol.containers import ContainerChange
from agent.protocol.problems import ProblemError
from tests.agent.doubles import FixedRuntime
from tests.agent.http.conftest import Served

STOP = "/v1/containers/detector/stop"


@pytest.fixture
def slow(served: Served, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Containers take for ever to stop; set once one is at it."""
    asked = asyncio.Event()

    async def act(*_: object, **__: object) -> ContainerChange:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(served.node.runtime, "act", act)
    return asked


async def test_a_call_is_written_down_before_it_does_anything(
    served: Served, slow: asyncio.Event
) -> None:
    async with served.client() as client:
        calling = asyncio.create_task(client.post(STOP))
        await slow.wait()
        (record,) = served.node.audit.newest(10)
        assert (record.action, record.outcome) == (f"POST {STOP}", "begun")
        calling.cancel()


async def test_what_cannot_be_written_down_is_not_done(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> int:
        raise ProblemError("store.failed", "agent.db: database or disk is full", hint="Make room.")

    monkeypatch.setattr(served.node.audit, "append", full)
    async with served.client() as client:
        answer = await client.post(STOP)
        assert (answer.status_code, answer.json()["code"]) == (503, "store.failed")
        assert (await client.get("/v1/telemetry")).status_code == 200
    runtime = served.node.runtime
    assert isinstance(runtime, FixedRuntime)
    assert runtime.container.state == "running"


async def test_what_was_done_is_answered_even_if_its_outcome_cannot_be_written(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise ProblemError("store.failed", "agent.db: database or disk is full")

    monkeypatch.setattr(served.node.audit, "finish", full)
    async with served.client() as client:
        answer = await client.post(STOP)
    assert answer.json()["container"]["state"] == "exited"
    (record,) = served.node.audit.newest(10)
    assert record.outcome == "begun"


async def test_a_refusal_is_told_even_if_it_cannot_be_written(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> int:
        raise ProblemError("store.failed", "agent.db: database or disk is full")

    monkeypatch.setattr(served.node.audit, "append", full)
    async with served.client("viewer") as client:
        assert (await client.post(STOP)).json()["code"] == "auth.role"


async def test_tokens_that_cannot_be_read_are_a_problem(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ProblemError("store.failed", "agent.db: disk I/O error", hint="Check the disk.")

    monkeypatch.setattr(served.node.tokens, "check", broken)
    async with served.tls("roost_x") as client:
        answer = await client.get("/v1/node")
    assert (answer.status_code, answer.json()["code"]) == (503, "store.failed")


async def test_an_agent_that_stops_says_what_it_left_undone(
    served: Served, slow: asyncio.Event
) -> None:
    async with served.client() as client:
        calling = asyncio.create_task(client.post(STOP))
        await slow.wait()
        served.servers.stop()
        answer = await calling
    assert (answer.status_code, answer.json()["code"]) == (503, "node.stopping")
    (record,) = served.node.audit.newest(10)
    assert (record.action, record.outcome) == ("container.stop", "interrupted")


async def test_an_agent_that_stops_ends_its_streams(served: Served) -> None:
    async with (
        served.client("viewer") as client,
        client.stream("GET", "/v1/events", timeout=None) as answer,
    ):
        chunks = answer.aiter_bytes()
        assert (await anext(chunks)).startswith(b"id: ")
        served.servers.stop()
        assert [chunk async for chunk in chunks][-1:] != [b""]


async def test_a_stream_that_begins_as_the_agent_stops_ends_too(served: Served) -> None:
    async with served.client("viewer") as client:
        await client.get("/healthz")  # connected
        served.servers.stop()
        answer = await client.get("/v1/events", timeout=None)
    assert answer.text.startswith("id: ")


def test_a_long_path_does_not_make_a_long_record(served: Served) -> None:
    caller = Caller(served.node, origin="test", method="POST", path="/" + "x" * 5000)
    assert len(caller.action) == 200
