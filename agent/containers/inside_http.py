"""HTTP with a port on a container's own loopback.

In the container's own network, so that no route, firewall or proxy of the host has a say.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import h11
import msgspec
from anyio import fail_after

from agent.containers.runtime import ContainerRuntime

READ_BYTES = 64 * 1024
CLONE_NEWNET = 0x40000000


class InsideRequest(msgspec.Struct, kw_only=True, frozen=True):
    """What is asked of a port. `headers` beside those that every request has."""

    port: int
    target: str
    agent: str  # how it names itself: "roost-probe"
    method: str = "GET"
    headers: Mapping[str, str] = {}
    body: bytes = b""


class InsideAnswer(msgspec.Struct, kw_only=True, frozen=True):
    """`seconds`: from before it connected until the answer's headers were there."""

    status: int
    seconds: float
    body: bytes


class NoAnswerError(Exception):
    """No answer, no HTTP, or more than is taken; the text says which, in words."""


class NotSentError(NoAnswerError):
    """Nothing was sent, and whoever should have answered is not to blame."""


class InsideHttp:
    """Asks running containers of this machine.

    Args:
        procfs: where the host's processes are.
    """

    def __init__(self, runtime: ContainerRuntime, procfs: Path) -> None:
        self._runtime, self._procfs = runtime, procfs
        # Process 1 of a container's run, which is told by when it was started: a runtime that is
        # asked for it a hundred times a second has nothing else to do.
        self._known: dict[str, tuple[float | None, int]] = {}

    async def ask(
        self,
        container: str,
        request: InsideRequest,
        *,
        timeout_seconds: float,
        limit_bytes: int | None,
        keep_body: bool = True,
    ) -> InsideAnswer:
        """What a container answers.

        Args:
            container: its id.
            limit_bytes: of the answer's body; None: it is not waited for.
            keep_body: else `body` is empty, however long it was.

        Raises:
            NoAnswerError, NotSentError; ProblemError `runtime.*`, `container.*`.
        """
        connection = None
        try:
            with fail_after(timeout_seconds):
                process = self._procfs / str(await self._pid(container))
                connection = await _entered(process / "ns" / "net")
                return await _exchange(connection, request, limit_bytes, keep_body=keep_body)
        except TimeoutError:
            if connection is None:
                raise NotSentError("its network was not entered in time") from None
            raise NoAnswerError(f"no answer within {timeout_seconds:g} s") from None
        except OSError as error:
            told = str(error) if error.errno is None else os.strerror(error.errno).lower()
            if connection is None:
                raise NotSentError(f"its network cannot be entered: {told}") from error
            raise NoAnswerError(told) from error
        except h11.RemoteProtocolError as error:
            raise NoAnswerError(str(error)) from error
        except h11.LocalProtocolError as error:
            raise NotSentError(f"it is no HTTP request: {error}") from error

    async def _pid(self, container: str) -> int:
        """Raises NotSentError, ProblemError."""
        there = self._runtime.containers()
        self._known = {one: run for one, run in self._known.items() if one in there}
        record, (started_at, pid) = there.get(container), self._known.get(container, (None, 0))
        fresh = bool(pid) and record is not None and record.started_at == started_at
        if fresh and await asyncio.to_thread(_belongs, self._procfs / str(pid), container):
            return pid
        details = await self._runtime.details(container)
        if not details.pid:
            raise NotSentError("the runtime names no process of it")
        self._known[container] = details.container.started_at, details.pid
        return details.pid


def _belongs(process: Path, container: str) -> bool:
    """Whether a process is the container's by its cgroup: a pid may be another's by now."""
    try:
        return container in (process / "cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


async def _entered(network: Path) -> socket.socket:
    """A socket there; one that comes too late is closed. Raises OSError."""
    making = asyncio.ensure_future(asyncio.to_thread(socket_in, network))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        making.add_done_callback(_close)
        raise


def _close(making: asyncio.Future[socket.socket]) -> None:
    if not making.cancelled() and making.exception() is None:
        making.result().close()


async def _exchange(
    connection: socket.socket,
    request: InsideRequest,
    limit_bytes: int | None,
    *,
    keep_body: bool,
) -> InsideAnswer:
    """Raises OSError, h11.ProtocolError, NoAnswerError."""
    began = time.monotonic()
    try:
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", request.port))
        reader, writer = await asyncio.open_connection(sock=connection)
    except BaseException:
        connection.close()
        raise
    try:
        http = h11.Connection(h11.CLIENT)
        writer.write(_written(http, request))
        head = await _next(http, reader)
        while not isinstance(head, h11.Response):  # what is only informational is not it
            head = await _next(http, reader)
        seconds, body, size = time.monotonic() - began, bytearray(), 0
        while limit_bytes is not None:
            event = await _next(http, reader)
            if isinstance(event, h11.EndOfMessage):
                break
            if isinstance(event, h11.Data):
                size += len(event.data)
                body += event.data if keep_body else b""
            if size > limit_bytes:
                raise NoAnswerError(f"its answer is longer than {limit_bytes} bytes")
        return InsideAnswer(status=head.status_code, seconds=seconds, body=bytes(body))
    finally:
        writer.transport.abort()


def _written(http: h11.Connection, request: InsideRequest) -> bytes:
    own = {"Host": "localhost", "User-Agent": request.agent, "Connection": "close"}
    if request.body:
        own["Content-Length"] = str(len(request.body))
    given = {name.lower() for name in request.headers}
    headers = [
        *((name, value) for name, value in own.items() if name.lower() not in given),
        *request.headers.items(),
    ]
    sent = http.send(h11.Request(method=request.method, target=request.target, headers=headers))
    if request.body:
        sent = (sent or b"") + (http.send(h11.Data(data=request.body)) or b"")
    return (sent or b"") + (http.send(h11.EndOfMessage()) or b"")


async def _next(http: h11.Connection, reader: asyncio.StreamReader) -> h11.Event:
    while True:
        event = http.next_event()
        if isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError("it closed the connection")
        if isinstance(event, h11.Event):
            return event
        data = await reader.read(READ_BYTES)
        if not data and http.their_state is h11.SEND_RESPONSE:
            raise ConnectionResetError("it closed the connection without an answer")
        http.receive_data(data)


def socket_in(namespace: Path, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A TCP socket in another network namespace. A socket stays in the one it was made in.

    To be run in a thread, which comes back to its own namespace. Raises OSError.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        other = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_namespace(libc, other)
        finally:
            os.close(other)
        try:
            made = socket.socket(family, socket.SOCK_STREAM)
        finally:
            _set_namespace(libc, own)
    finally:
        os.close(own)
    made.settimeout(0)
    return made


def _set_namespace(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
