"""Nodes that answer garbage, too much, too little, or never end: a clear problem each."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.protocol.problems import ProblemError
from console.link.address import parse_address
from console.link.client import NodeClient
from console.link.events import Event
from console.link.unix import UnixLink
from tests.console.serving import EVENTS_HEAD, HEAD, JSON_HEAD, Misbehave, chunk, misbehaving


def once(*pieces: bytes, then: float = 0.0) -> Misbehave:
    """Send the pieces, wait, and hang up."""

    async def misbehave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
        await writer.drain()
        await asyncio.sleep(then)
        writer.close()
        await writer.wait_closed()

    return misbehave


def endless(head: bytes, piece: bytes) -> Misbehave:
    async def misbehave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()

    return misbehave


def dripping(head: bytes) -> Misbehave:
    """Never quite silent, never done."""

    async def misbehave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(b"1\r\nx\r\n" if head else b"H")
            await writer.drain()
            await asyncio.sleep(0.02)

    return misbehave


def status(line: str, *headers: str, body: bytes = b"") -> bytes:
    head = [line, f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


API = "Roost-Api-Version: 1.0"
JSON = "Content-Type: application/json"
CASES: dict[str, tuple[Misbehave, str]] = {
    "not http": (once(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "link.garbage"),
    "binary": (once(bytes(range(256)) * 10), "link.garbage"),
    "silent end": (once(), "link.unreachable"),
    "half a head": (once(b"HTTP/1.1 200 OK\r\nRoost-Api"), "link.unreachable"),
    "half a body": (once(JSON_HEAD, chunk(b'{"name"')), "link.unreachable"),
    "no version": (once(status("HTTP/1.1 200 OK", JSON, body=b"{}")), "link.garbage"),
    "odd version": (
        once(status("HTTP/1.1 200 OK", "Roost-Api-Version: \x41bc", JSON)),
        "link.garbage",
    ),
    "newer major": (
        once(status("HTTP/1.1 200 OK", "Roost-Api-Version: 2.0", JSON)),
        "link.api_unknown",
    ),
    "html": (
        once(status("HTTP/1.1 200 OK", API, "Content-Type: text/html", body=b"<html>")),
        "link.garbage",
    ),
    "html error": (
        once(status("HTTP/1.1 502 Bad Gateway", API, "Content-Type: text/html", body=b"<h1>")),
        "link.garbage",
    ),
    "broken json": (once(status("HTTP/1.1 200 OK", API, JSON, body=b'{"name": ')), "link.garbage"),
    "other json": (once(status("HTTP/1.1 200 OK", API, JSON, body=b'{"name": 7}')), "link.garbage"),
    "not utf-8": (
        once(status("HTTP/1.1 200 OK", API, JSON, body=b'{"name": "\xff"}')),
        "link.garbage",
    ),
    "broken problem": (
        once(status("HTTP/1.1 404 X", API, "Content-Type: application/problem+json", body=b"[")),
        "link.garbage",
    ),
    "endless header": (endless(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 1000), "link.garbage"),
    "endless headers": (endless(b"HTTP/1.1 200 OK\r\n", b"X-Y: z\r\n" * 100), "link.garbage"),
    "endless 100": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "link.garbage"),
    "endless chunk size": (endless(JSON_HEAD, b"0" * 1000), "link.garbage"),
    "endless body": (endless(JSON_HEAD, chunk(b"x" * 1000)), "link.too_large"),
    "endless error": (
        endless(
            HEAD.replace(b"200 OK", b"500 No") % b"application/problem+json", chunk(b"x" * 1000)
        ),
        "link.too_large",
    ),
    "silence": (once(then=30), "link.timeout"),
    "silence after the head": (once(JSON_HEAD, then=30), "link.timeout"),
    "dripping head": (dripping(b""), "link.timeout"),
    "dripping body": (dripping(JSON_HEAD), "link.timeout"),
}


def client_of(path: Path) -> NodeClient:
    link = UnixLink("bad", parse_address(f"unix://{path}"))
    return NodeClient("bad", link, owner="maria", timeout=0.5, limit=100_000)


@pytest.mark.parametrize("case", CASES)
async def test_a_bad_answer_is_a_clear_problem(case: str, short_folder: Path) -> None:
    misbehave, code = CASES[case]
    async with misbehaving(short_folder / "s", misbehave):
        client = client_of(short_folder / "s")
        with pytest.raises(ProblemError) as caught:
            await client.node()
        await client.close()
    assert caught.value.code == code
    assert caught.value.hint
    assert "bad" in caught.value.detail
    assert len(caught.value.detail) < 500
    assert "bytearray" not in caught.value.detail
    assert "b'" not in caught.value.detail


async def first_events(client: NodeClient) -> list[Event]:
    stream = await client.events()
    try:
        return await stream.read()
    finally:
        stream.close()


STREAMS: dict[str, tuple[Misbehave, str]] = {
    "json, not events": (once(JSON_HEAD, chunk(b"{}"), then=5), "link.garbage"),
    "cut": (once(EVENTS_HEAD, chunk(b"event: snap")), "link.unreachable"),
    "ended": (once(EVENTS_HEAD, b"0\r\n\r\n"), "link.unreachable"),
    "not chunks": (once(EVENTS_HEAD, b"hello\r\n" * 3, then=5), "link.garbage"),
    "problem that is none": (
        once(EVENTS_HEAD, chunk(b"event: problem\ndata: [\n\n"), then=5),
        "link.garbage",
    ),
    "one endless event": (endless(EVENTS_HEAD, chunk(b"data: " + b"x" * 60000)), "link.too_large"),
}


@pytest.mark.parametrize("case", STREAMS)
async def test_a_bad_stream_is_a_clear_problem(case: str, short_folder: Path) -> None:
    misbehave, code = STREAMS[case]
    async with misbehaving(short_folder / "s", misbehave):
        client = client_of(short_folder / "s")
        with pytest.raises(ProblemError) as caught:
            await first_events(client)
        await client.close()
    assert caught.value.code == code


async def test_a_request_that_changes_things_is_never_sent_twice(short_folder: Path) -> None:
    heads: list[bytes] = []
    answer = status("HTTP/1.1 200 OK", API, JSON, body=b"[]")

    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        heads.append(await reader.readuntil(b"\r\n\r\n"))  # and hang up

    async with misbehaving(short_folder / "s", misbehave):
        client = client_of(short_folder / "s")
        await client.containers()
        with pytest.raises(ProblemError) as caught:
            await client.act("x", "stop")
        assert caught.value.code == "link.unreachable"
        assert [head.split()[0] for head in heads] == [b"POST"]
        # What only reads is asked again on a new connection.
        await client.containers()
        assert await client.containers() == []
        await client.close()


async def test_a_cancelled_request_leaves_no_connection(short_folder: Path) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JSON_HEAD)
        begun.set()
        await reader.read()
        ended.set()

    async with misbehaving(short_folder / "s", misbehave):
        request = asyncio.create_task(client_of(short_folder / "s").node())
        await begun.wait()
        request.cancel()
        await ended.wait()
