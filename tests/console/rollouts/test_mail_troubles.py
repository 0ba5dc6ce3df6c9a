"""Mail servers that behave badly: what they took is not sent again, and what is over stays over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest

from console.rollouts.mailing import NotMailedError, mail
from console.rollouts.notices import Mail, Notice, Tls

pytestmark = pytest.mark.timeout(60)

NOTICE = Notice(
    id="a" * 32,
    kind="gate",
    rollout="r1",
    release="app",
    version="0" * 12,
    state="gate",
    at=1.7e9,
    by="runner",
    what="gate",
    node=None,
    why="",
    nodes={"canary": 1},
)
Answer = Callable[[bytes], Awaitable[bytes | None]]


class Talk:
    """What clients said, a line each; `over` once one has gone."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.over = asyncio.Event()


@asynccontextmanager
async def server_that(
    answer: Answer, *, greet: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
) -> AsyncIterator[tuple[Mail, Talk]]:
    """One that answers each command so; None: it ends the connection."""
    talk = Talk()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if greet is not None:
                await greet(writer)
            writer.write(b"220 hello\r\n")
            while line := await reader.readline():
                talk.lines.append(line.strip())
                if (said := await answer(line.strip())) is None:
                    break
                writer.write(said)
        except ConnectionError:
            pass
        finally:
            writer.close()
            talk.over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    to = Mail(to="ops@x.org", sender="roost@x.org", host="localhost", port=port, tls="none")
    try:
        yield to, talk
    finally:
        server.close()


async def takes_it(line: bytes) -> bytes:
    """A server's usual answers; the lines of a message are commands to it, with no answer."""
    word = line[:4].upper()
    known = {b"EHLO": b"250 here\r\n", b"MAIL": b"250 well\r\n", b"RCPT": b"250 well\r\n"}
    known |= {b"DATA": b"354 go on\r\n", b".": b"250 taken\r\n"}
    return known.get(word, b"")


@pytest.mark.parametrize("bye", [b"250 bye\r\n", b"500 what?\r\n", b"garbage\r\n", b""])
async def test_what_was_taken_was_taken_whatever_the_server_says_to_quit(bye: bytes) -> None:
    """b"": nothing at all, and it stays connected."""

    async def answer(line: bytes) -> bytes:
        return bye if line.upper() == b"QUIT" else await takes_it(line)

    async with server_that(answer) as (to, talk):
        await asyncio.wait_for(mail(to, NOTICE, None, seconds=30), 20)
        await talk.over.wait()
    assert [line for line in talk.lines if line == b"."] == [b"."]


@pytest.mark.parametrize(
    ("tls", "first", "then"),
    [
        ("none", b"", b"220-wait\r\n"),
        ("starttls", b"", b"220-wait\r\n"),
        ("tls", b"\x16\x03\x03\x40\x00\x02", b"\x00"),  # a record of 16 KiB
    ],
)
async def test_one_that_greets_for_ever_is_left_and_gets_no_message(
    tls: Tls, first: bytes, then: bytes
) -> None:
    """It greets until the client has gone: no thread goes on with it."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(then)
            await writer.drain()
            await asyncio.sleep(0.01)

    async with server_that(takes_it, greet=drip) as (to, talk):
        slow = msgspec.structs.replace(to, tls=tls)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(mail(slow, NOTICE, None, seconds=300), 0.3)
        await talk.over.wait()
    assert talk.lines == []


async def test_a_connection_that_ends_at_the_login_is_no_wrong_password() -> None:
    async def answer(line: bytes) -> bytes | None:
        if line.startswith(b"AUTH"):
            return None
        return b"250-here\r\n250 AUTH PLAIN\r\n" if line.lower().startswith(b"ehlo") else b""

    async with server_that(answer) as (to, _):
        whole = Mail(to=to.to, sender=to.sender, host=to.host, port=to.port, tls="none", user="me")
        with pytest.raises(NotMailedError, match="it ended the connection at the login"):
            await asyncio.wait_for(mail(whole, NOTICE, "secret", seconds=30), 20)
