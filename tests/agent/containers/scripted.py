"""A server on a unix socket that answers as it is told: what no real runtime does on request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from agent.containers.connection import Patience
from agent.containers.docker_runtime import DockerRuntime
from tests.agent.containers.answers import inspect_answer

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

# Short times, so that what waits for them does not wait long.
QUICK = Patience(
    connect=1.0,
    call=1,
    back_off_first=0.02,
    back_off_most=0.05,
    list_every=0.2,
    facts_every=60.0,
    gather=0.01,
    settle=0.05,
    answer=0.2,
)
VERSION = {
    "Version": "20.10.24",
    "ApiVersion": "1.41",
    "MinAPIVersion": "1.12",
    "Components": [{"Name": "Engine", "Version": "20.10.24"}],
}
INFO = {"Driver": "overlay2", "DriverStatus": [], "DockerRootDir": "/var/lib/docker"}


def said(body: Any, status: int = 200) -> Answer:
    """An answer in JSON, or these bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def write(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(content)}\r\n\r\n"
        writer.write(head.encode() + content)

    return write


async def silence(_: asyncio.StreamWriter) -> None:
    """No answer, ever."""
    await asyncio.Event().wait()


def stream(*chunks: bytes, ended: bool = False) -> Answer:
    """A chunked answer, then nothing more; `ended` as it should be."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            writer.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if ended:
            writer.write(b"0\r\n\r\n")
        else:
            await writer.drain()
            await asyncio.Event().wait()

    return write


def raw(data: bytes) -> Answer:
    """These bytes, and the end of the connection."""

    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return write


class _Protocol(asyncio.StreamReaderProtocol):
    """Knows its transport from the first moment, so that none is left open."""

    def __init__(self, serve: Serve, transports: set[asyncio.WriteTransport]) -> None:
        super().__init__(asyncio.StreamReader(), serve)
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transports.add(transport)
        super().connection_made(transport)


class ScriptedRuntime:
    """Answers by the first pattern that fits a request's path, without its version."""

    def __init__(self, socket: Path) -> None:
        self.address = f"unix://{socket}"
        self.asked: list[str] = []
        self._socket = socket
        self._answers: list[tuple[re.Pattern[str], Answer]] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._transports: set[asyncio.WriteTransport] = set()
        self._server: asyncio.AbstractServer | None = None
        self.containers: list[dict[str, Any]] = [inspect_answer()]
        self.answer(r"/containers/json", self._list)
        self.answer(r"/version", said(VERSION))
        self.answer(r"/info", said(INFO))
        self.answer(r"/events", stream())

    def answer(self, pattern: str, answer: Answer) -> None:
        """From now on; before all that was said until now."""
        self._answers.insert(0, (re.compile(pattern), answer))

    async def listen(self) -> None:
        """Begin."""
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: _Protocol(self._accept, self._transports), str(self._socket)
        )

    async def close(self) -> None:
        """End all connections, and listen no more."""
        if self._server is not None:
            self._server.close()
            self._server = None
        # What was accepted just now gets its transport a little later.
        for _ in range(5):
            await asyncio.sleep(0.01)
            for task in list(self._connections):
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            for transport in self._transports:
                transport.abort()
            self._transports.clear()
        await asyncio.sleep(0)
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(self._socket.unlink)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the server is closed
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if length := re.search(r"Content-Length: (\d+)", head, re.IGNORECASE):
            await reader.readexactly(int(length[1]))
        target = head.split(" ", 2)[1]
        path = re.sub(r"^/v[\d.]+", "", unquote(urlsplit(target).path))
        self.asked.append(f"{target.split('/')[1]} {path}")
        for pattern, answer in self._answers:
            if pattern.fullmatch(path):
                await answer(writer)
                await writer.drain()
                return
        await self._inspect(path, writer)

    async def _list(self, writer: asyncio.StreamWriter) -> None:
        entries = [
            {"Id": one["Id"], "Names": [one["Name"]], "State": one["State"]["Status"]}
            for one in self.containers
        ]
        await said(entries)(writer)

    async def _inspect(self, path: str, writer: asyncio.StreamWriter) -> None:
        for one in self.containers:
            if path in (f"/containers/{one['Id']}/json", f"/containers{one['Name']}/json"):
                await said(one)(writer)
                return
        await said({"message": f"no answer for {path}"}, 404)(writer)


@contextlib.asynccontextmanager
async def following(
    scripted: ScriptedRuntime, root: Path, patience: Patience = QUICK
) -> AsyncIterator[DockerRuntime]:
    """A runtime over a scripted server that is up."""
    await scripted.listen()
    runtime = DockerRuntime([scripted.address], root=root, patience=patience)
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop()
        await scripted.close()
