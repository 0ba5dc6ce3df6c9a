"""Agents to reach: the real application over fixed sources, and ones that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from agent.http.caller import Listener
from agent.http.certificate import ensure_certificate, fingerprint, server_context
from agent.http.server import Servers
from agent.node import Node
from console.fleet.inventory import NodeEntry
from tests.agent.doubles import make_node

Misbehave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEAD = (
    b"HTTP/1.1 200 OK\r\nRoost-Api-Version: 1.0\r\nContent-Type: %s\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
JSON_HEAD = HEAD % b"application/json"
EVENTS_HEAD = HEAD % b"text/event-stream"


class ServedAgent(msgspec.Struct):
    """A real agent application; its node is driven by the test."""

    node: Node
    socket: Path  # operator
    view_socket: Path
    port: int
    fingerprint: str

    @property
    def entry(self) -> NodeEntry:
        return NodeEntry(name=self.node.name, address=f"unix://{self.socket}")


@asynccontextmanager
async def serve_agent(
    folder: Path, name: str = "t4", *, node: Node | None = None
) -> AsyncIterator[ServedAgent]:
    """Serve this node, or one over fixed sources, on two unix sockets and TLS."""
    node = node or make_node(name)
    servers = Servers()
    socket, view_socket = folder / "agent.sock", folder / "view.sock"
    servers.add_unix(socket, Listener(node, "unix:agent.sock", "operator"))
    servers.add_unix(view_socket, Listener(node, "unix:view.sock", "viewer"))
    certificate, key = ensure_certificate(folder, name=name)
    port = servers.add_tls(
        "127.0.0.1:0", Listener(node, "https", None), server_context(certificate, key)
    )
    await node.start()
    await node.ready.wait()
    task = asyncio.create_task(servers.serve())
    await asyncio.sleep(0.05)
    try:
        yield ServedAgent(node, socket, view_socket, port, fingerprint(certificate))
    finally:
        servers.stop()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await node.stop()


@asynccontextmanager
async def misbehaving(
    path: Path, misbehave: Misbehave, *, heads: list[bytes] | None = None
) -> AsyncIterator[None]:
    """Listen on `path`; every request's head is read (into `heads`), then `misbehave` answers."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if heads is not None:
            heads.append(head.lower())
        await misbehave(reader, writer)

    async with _handled(answer) as serve:
        server = await asyncio.start_unix_server(serve, path)
        try:
            yield
        finally:
            server.close()


@asynccontextmanager
async def tcp_server(
    answer: Misbehave, context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Listen on a port of this machine, with TLS if there is a context; yields the port."""
    async with _handled(answer) as serve:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()


@asynccontextmanager
async def _handled(answer: Misbehave) -> AsyncIterator[Misbehave]:
    """`answer`, of which nothing is left at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await answer(reader, writer)
        finally:
            writer.transport.abort()

    try:
        yield serve
    finally:
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def chunk(data: bytes) -> bytes:
    """`data` in HTTP's chunked coding."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(name: str, data: object, id_: str | None = None) -> bytes:
    """A server-sent event, as a chunk."""
    head = f"id: {id_}\n" if id_ else ""
    body = msgspec.json.encode(data).decode()
    return chunk(f"{head}event: {name}\ndata: {body}\n\n".encode())
