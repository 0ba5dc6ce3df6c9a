"""The seed's listener, for callers that mean no good: few connections, and nothing to learn."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack

import pytest

from agent.protocol.site import SiteGrant
from agent.site import seed_server
from tests.agent.images.layers import noise
from tests.agent.site.pair import Side

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
LAYER = noise(300_000, 1)


async def connect(seed: Side) -> Streams:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    status = await seed.site.status()
    host, _, port = status.addresses[0].rpartition(":")
    return await asyncio.open_connection(host, int(port), ssl=context)


async def ask(seed: Side, request: str, *headers: str) -> tuple[int, bytes]:
    """Status and the rest of the answer."""
    reader, writer = await connect(seed)
    writer.write("\r\n".join([f"{request} HTTP/1.1", "Host: x", *headers, "", ""]).encode())
    answer = await reader.read()
    writer.transport.abort()
    return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n")[2]


def bearer(grant: SiteGrant) -> str:
    return f"Authorization: Bearer {grant.secret}"


async def test_without_a_grant_every_question_has_the_same_answer(seed: Side) -> None:
    layer = await seed.put(LAYER)
    answers = {
        await ask(seed, f"{method} {path}", *headers)
        for method in ("GET", "POST", "DELETE")
        for path in (f"/blobs/{layer.diff_id}", "/blobs/", "/v1/node", "/")
        for headers in ((), ("Authorization: Bearer x",), ("Authorization: Basic x",))
    }
    assert {status for status, _ in answers} == {401}
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /blobs/", 404),
        ("GET /blobs", 404),
        ("GET /v1/node", 404),
        ("GET /blobs/../../agent.db", 404),
        ("GET /blobs/sha256:" + "0" * 64, 404),
        ("POST /blobs/x", 405),
        ("HEAD /blobs/x", 405),
    ],
)
async def test_with_a_grant_there_is_only_what_it_names(
    seed: Side, request_line: str, status: int
) -> None:
    grant = await seed.grant(await seed.put(LAYER))
    assert (await ask(seed, request_line, bearer(grant)))[0] == status


@pytest.mark.parametrize(
    ("asked", "status", "length"),
    [
        (None, 200, len(LAYER)),
        ("bytes=0-", 206, len(LAYER)),
        ("bytes=299999-", 206, 1),
        ("bytes=10-19", 206, 10),
        ("bytes=10-999999999", 206, len(LAYER) - 10),
        ("bytes=300000-", 416, 0),
        ("bytes=20-10", 416, 0),
        ("bytes=-5", 416, 0),
        ("bytes=0-1,5-6", 416, 0),
        ("lines=1-", 416, 0),
    ],
)
async def test_ranges(seed: Side, asked: str | None, status: int, length: int) -> None:
    layer = await seed.put(LAYER)
    grant = await seed.grant(layer)
    headers = [] if asked is None else [f"Range: {asked}"]
    got, rest = await ask(seed, f"GET /blobs/{layer.diff_id}", bearer(grant), *headers)
    body = rest.partition(b"\r\n\r\n")[2]
    assert (got, len(body)) == (status, length)
    if length:
        start = 0 if asked is None else int(asked.removeprefix("bytes=").partition("-")[0])
        assert body == LAYER[start : start + length]


async def test_one_machine_has_few_connections(seed: Side) -> None:
    layer = await seed.put(LAYER)
    grant = await seed.grant(layer)
    async with AsyncExitStack() as stack:
        held = [await connect(seed) for _ in range(seed_server.CONNECTIONS_EACH)]
        for _, writer in held:
            stack.callback(writer.transport.abort)
        server = seed.site._server
        assert server is not None
        while server._peers.total() < seed_server.CONNECTIONS_EACH:  # noqa: ASYNC110 - as good
            await asyncio.sleep(0.005)
        reader, writer = await connect(seed)
        stack.callback(writer.transport.abort)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
    while server._peers:  # noqa: ASYNC110 - as good
        await asyncio.sleep(0.005)
    assert (await ask(seed, f"GET /blobs/{layer.diff_id}", bearer(grant)))[0] == 200


async def test_silent_callers_are_let_go(seed: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed_server, "HEAD_SECONDS", 0.05)
    reader, writer = await connect(seed)
    writer.write(b"GET /blobs/")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.transport.abort()


async def test_a_reader_that_stops_is_let_go(seed: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seed_server, "STALLED_SECONDS", 0.1)
    layer = await seed.put(noise(30_000_000, 2))
    grant = await seed.grant(layer)
    reader, writer = await connect(seed)
    lines = [f"GET /blobs/{layer.diff_id} HTTP/1.1", "Host: x", bearer(grant), "", ""]
    writer.write("\r\n".join(lines).encode())
    assert seed.site._server is not None
    while not seed.site._server._peers:  # noqa: ASYNC110
        await asyncio.sleep(0)
    while seed.site._server._peers:  # noqa: ASYNC110 - as good
        await asyncio.sleep(0.01)
    assert seed.site._server.sent_bytes < layer.size_bytes
    assert await reader.read(1) in {b"", b"H"}
    writer.transport.abort()


async def test_a_head_without_end_is_cut_off(seed: Side) -> None:
    reader, writer = await connect(seed)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.transport.abort()
