"""Streams of logs and commands that fall silent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.protocol.containers import ExecRequest, ExecStarted
from agent.protocol.problems import ProblemError
from console.link.address import parse_address
from console.link.client import NodeClient
from console.link.unix import UnixLink
from tests.console.serving import EVENTS_HEAD, Misbehave, chunk, event, misbehaving

LINES = event("lines", [{"text": "a"}])


def client_of(path: Path, silence: float) -> NodeClient:
    link = UnixLink("quiet", parse_address(f"unix://{path}"))
    return NodeClient("quiet", link, owner="maria", timeout=silence, silence=silence)


def silent_after(*pieces: bytes) -> Misbehave:
    async def misbehave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
        await writer.drain()
        await asyncio.sleep(60)

    return misbehave


async def test_a_log_that_falls_silent_is_taken_for_dead(short_folder: Path) -> None:
    async with misbehaving(short_folder / "s", silent_after(EVENTS_HEAD, LINES)):
        client = client_of(short_folder / "s", 0.3)
        batches = client.logs("web", follow=True)
        assert [line.text for line in await anext(batches)] == ["a"]
        with pytest.raises(ProblemError) as caught:
            await anext(batches)
        await client.close()
    assert caught.value.code == "link.stale"
    assert "quiet has said nothing for 0.3 s" in caught.value.detail
    assert caught.value.hint


async def test_a_command_that_falls_silent_is_taken_for_dead(short_folder: Path) -> None:
    started = event("started", ExecStarted(id="x"))
    async with misbehaving(short_folder / "s", silent_after(EVENTS_HEAD, started)):
        client = client_of(short_folder / "s", 0.3)
        session = await client.exec("web", ExecRequest(command=["top"]))
        with pytest.raises(ProblemError) as caught:
            await anext(session.output())
        session.close()
        await client.close()
    assert caught.value.code == "link.stale"


async def test_comments_are_life(short_folder: Path) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(EVENTS_HEAD)
        for _ in range(30):  # twice as long as it may be silent
            writer.write(chunk(b":\n\n"))
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.write(LINES + event("end", {}))
        await writer.drain()

    async with misbehaving(short_folder / "s", answer):
        client = client_of(short_folder / "s", 1.5)
        batches = [batch async for batch in client.logs("web", follow=True)]
        await client.close()
    assert [line.text for batch in batches for line in batch] == ["a"]
