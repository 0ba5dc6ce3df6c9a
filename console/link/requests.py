"""Requests to one agent: deadlines, limits, one kept connection, and what went wrong."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Literal, NoReturn, TypeVar

import h11
import msgspec

from agent.protocol.access import OWNER_HEADER
from agent.protocol.decoding import from_json
from agent.protocol.problems import MEDIA_TYPE, Problem, ProblemError
from agent.protocol.version import API_VERSION_HEADER, check_api_version
from console.link.connection import Connection, CutError, Head
from console.link.deadline import within
from console.link.link import Link
from console.link.problems import garbage, not_http, too_large, too_slow, unreachable
from console.link.stream import Stream

T = TypeVar("T")

ANSWER_TIMEOUT_SECONDS = 15.0
ANSWER_LIMIT_BYTES = 32 * 1024 * 1024
# uvicorn closes a connection that was idle for 5 s.
KEEP_SECONDS = 4.0


def decode(node: str, data: bytes, kind: type[T]) -> T:
    """JSON as `kind`, or `link.garbage`."""
    try:
        return from_json(data, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise garbage(node, str(error)) from None


class Call(msgspec.Struct, kw_only=True):
    """One request. `timeout` in seconds, for the head and for the body each."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    target: str
    headers: list[tuple[str, str]] = []
    body: bytes = b""
    media_type: str = "application/json"
    timeout: float | None = None


class Requests:
    """Sends requests over a link. Every answer is checked to be an agent's of an API we know."""

    def __init__(
        self,
        node: str,
        link: Link,
        *,
        owner: str,
        token: Callable[[], str] | None,
        timeout: float,
        limit: int,
    ) -> None:
        self._node = node
        self._link = link
        self._owner = owner
        self._token = token
        self._timeout = timeout
        self._limit = limit
        self._kept: tuple[Connection, float] | None = None

    async def close(self) -> None:
        """Close what is open, and the link."""
        if self._kept is not None:
            self._kept[0].close()
            self._kept = None
        await self._link.close()

    async def stream(self, call: Call, *, silence: float | None = None) -> Stream:
        """Start an answer that is a stream of events: its head has a deadline, and then no two
        pieces may be more than `silence` seconds apart.
        """
        connection, head = await self._start(call)
        with _closed_on_failure(connection), self._told():
            if head.status >= 400:
                await within(self._timeout, self._refused(connection, head))
            self._check_kind(head, "text/event-stream")
        return Stream(self._node, connection, silence=silence)

    async def pieces(self, call: Call, *, silence: float) -> AsyncGenerator[bytes, None]:
        """The body of an answer of any length, as it comes.

        No two pieces may be more than `silence` seconds apart; the head may take as long.
        """
        connection, head = await self._start(call)
        with _closed_on_failure(connection), self._told():
            if head.status >= 400:
                await within(self._timeout, self._refused(connection, head))
            self._check_kind(head, "application/octet-stream")
            while piece := await within(silence, connection.read()):
                yield piece
        connection.close()

    async def exchange(self, call: Call) -> bytes:
        """A request and the whole body of its answer."""
        connection, head = await self._start(call)
        with _closed_on_failure(connection), self._told():
            content = await within(call.timeout or self._timeout, self._content(connection, head))
        self._keep(connection)
        return content

    async def body(
        self, call: Call, *, silence: float, limit: int, heard: Callable[[int], None]
    ) -> tuple[bytes, bool]:
        """What an answer says, whatever it is, over a link as slow as it may be.

        Args:
            silence: no two pieces may be more than so many seconds apart; `call.timeout` is for
                the head.
            limit: what is beyond so many bytes is not read.
            heard: is told how many bytes there are.

        Returns:
            The body, and whether it was cut at the limit.
        """
        connection, head = await self._start(call)
        taken = bytearray()
        with _closed_on_failure(connection), self._told():
            if head.status >= 400:
                await within(silence, self._refused(connection, head))
            while piece := await within(silence, connection.read()):
                taken += piece
                heard(len(taken))
                if len(taken) > limit:
                    connection.close()
                    return bytes(taken[:limit]), True
        self._keep(connection)
        return bytes(taken), False

    async def deliver(
        self,
        call: Call,
        pieces: AsyncIterator[bytes],
        *,
        patience: float,
        answer_patience: float,
    ) -> tuple[Head, bytes]:
        """A request whose body comes in pieces, sent once; its answer's head and body.

        `patience` (seconds) is for each piece, `answer_patience` for the answer.
        """
        connection = await self._link.connect()
        headers = [*await self._headers(call), ("Content-Type", call.media_type)]
        with _closed_on_failure(connection), self._told():
            try:
                head = await connection.send_pieces(
                    call.method,
                    call.target,
                    headers,
                    pieces,
                    patience=patience,
                    answer_patience=answer_patience,
                )
            except CutError as cut:
                raise unreachable(self._node, str(cut), hint="It is tried again.") from None
            return await self._answered(connection, head, call)

    async def answer(self, call: Call) -> tuple[Head, bytes]:
        """A request; its answer's head and body, whatever kind it is."""
        connection, head = await self._start(call)
        with _closed_on_failure(connection), self._told():
            return await self._answered(connection, head, call)

    async def _answered(self, connection: Connection, head: Head, call: Call) -> tuple[Head, bytes]:
        self._check_version(head)
        limit = call.timeout or self._timeout
        if head.status >= 400:
            await within(limit, self._refused(connection, head))
        content = await within(limit, self._read_all(connection))
        self._keep(connection)
        return head, content

    def _keep(self, connection: Connection) -> None:
        """For the next request, if it can take one."""
        if connection.renew() and self._kept is None:
            self._kept = (connection, time.monotonic())
        else:
            connection.close()

    async def _start(self, call: Call) -> tuple[Connection, Head]:
        """Send a request and wait for the head of its answer.

        What changes things is sent once only: a kept connection may have been closed for
        idleness at this very moment, and then a reading request is sent again on a new one.
        """
        headers = await self._headers(call)
        kept = self._take_kept()
        if kept is not None:
            try:
                return kept, await self._send(kept, call, headers)
            except CutError as cut:
                if call.method != "GET":
                    raise unreachable(self._node, str(cut), hint="Try again.") from None
        for _ in range(2):
            connection = await self._link.connect()
            try:
                return connection, await self._send(connection, call, headers)
            except CutError as cut:
                problem = await self._link.explain(cut)
                if problem is not None:
                    raise problem from None
        raise unreachable(self._node, "every way was closed", hint="Run ssh -v to see why.")

    async def _headers(self, call: Call) -> list[tuple[str, str]]:
        headers = [(OWNER_HEADER, self._owner), *call.headers]
        if call.body:
            headers.append(("Content-Type", call.media_type))
        if self._token is not None:
            headers.append(("Authorization", f"Bearer {await asyncio.to_thread(self._token)}"))
        return headers

    async def _send(
        self, connection: Connection, call: Call, headers: list[tuple[str, str]]
    ) -> Head:
        with _closed_on_failure(connection), self._told():
            head = await within(
                call.timeout or self._timeout,
                connection.send(call.method, call.target, headers, call.body),
            )
            self._check_version(head)
        return head

    async def _content(self, connection: Connection, head: Head) -> bytes:
        if head.status >= 400:
            await self._refused(connection, head)
        if head.status != 204:
            self._check_kind(head, "application/json")
        return await self._read_all(connection)

    def _take_kept(self) -> Connection | None:
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        connection, since = kept
        if connection.dead or time.monotonic() - since > KEEP_SECONDS:
            connection.close()
            return None
        return connection

    async def _read_all(self, connection: Connection) -> bytes:
        pieces, size = [], 0
        while piece := await connection.read():
            size += len(piece)
            if size > self._limit:
                raise too_large(self._node, self._limit)
            pieces.append(piece)
        return b"".join(pieces)

    async def _refused(self, connection: Connection, head: Head) -> NoReturn:
        """Raise the problem that an answer of status 400 or more is."""
        content = await self._read_all(connection)
        kind = head.headers.get("content-type", "").partition(";")[0]
        if kind != MEDIA_TYPE:
            raise garbage(self._node, f"status {head.status} without a reason")
        raise ProblemError.from_problem(decode(self._node, content, Problem))

    def _check_version(self, head: Head) -> None:
        version = head.headers.get(API_VERSION_HEADER.lower())
        if version is None:
            raise garbage(self._node, f"status {head.status} without an API version")
        check_api_version(version, node=self._node)

    def _check_kind(self, head: Head, wanted: str) -> None:
        kind = head.headers.get("content-type", "nothing").partition(";")[0]
        if kind != wanted:
            raise garbage(self._node, f"{kind[:80]} where {wanted} belongs")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong with a connection, as a problem of this node.

        A cut before the answer stays one: there may be another way.
        """
        try:
            yield
        except asyncio.TimeoutError:
            raise too_slow(self._node) from None
        except h11.RemoteProtocolError as error:
            raise not_http(self._node, error) from None
        except CutError as cut:
            if not cut.answered:
                raise
            raise unreachable(
                self._node, str(cut), hint="Try again; the link may be bad."
            ) from None


@contextlib.contextmanager
def _closed_on_failure(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise
