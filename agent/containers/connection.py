"""One runtime behind one socket: calls through the docker SDK, streams beside it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from anyio import fail_after
from docker import APIClient

from agent.containers.addresses import socket_path
from agent.containers.api_stream import ApiStream
from agent.containers.facts import is_podman
from agent.containers.refusals import CALL_ERRORS, problem_of, understood
from agent.containers.sdk_client import connect
from agent.containers.workers import Workers
from agent.protocol.problems import ProblemError

T = TypeVar("T")

CALLS_AT_ONCE = 8
ANSWER_LIMIT_BYTES = 32 * 1024 * 1024

Json = dict[str, Any]


class Patience(msgspec.Struct, kw_only=True, frozen=True):
    """How long to wait for what, in seconds."""

    connect: float = 3.0
    call: int = 10
    back_off_first: float = 0.5
    back_off_most: float = 5.0
    # The list is asked for this often although events tell: it is also the sign of life.
    list_every: float = 15.0
    facts_every: float = 60.0
    # Events come in bursts: what comes within this time is looked at together.
    gather: float = 0.1
    # How long a container is watched after it was started, to tell one that ends at once.
    settle: float = 1.0
    # Followers on Podman get no answer before the first line; see `api_stream`.
    answer: float = 0.5


class Connection:
    """A runtime that answered once. It may be gone by the next call."""

    def __init__(
        self,
        address: str,
        client: APIClient,
        workers: Workers,
        patience: Patience,
        *,
        podman: bool,
    ) -> None:
        self.address, self.podman = address, podman
        self._client, self._workers, self._patience = client, workers, patience
        self.api_version: str = client.api_version
        self._lock = threading.Lock()
        self._under_way = 0
        self._closed = False

    @classmethod
    async def open(cls, address: str, workers: Workers, patience: Patience) -> Connection:
        """Connect and settle on an API version.

        Raises:
            ProblemError: `runtime.unreachable`, `runtime.permission`, `runtime.refused`.
        """
        try:
            with fail_after(2 * patience.call):
                client, version = await workers.run(
                    lambda: connect(
                        socket_path(address), timeout=patience.call, connections=CALLS_AT_ONCE
                    ),
                    unwanted=lambda made: made[0].close(),
                )
        except CALL_ERRORS as error:
            raise problem_of(error, address) from error
        podman = understood(lambda: is_podman(version), address)
        return cls(address, client, workers, patience, podman=podman)

    async def call(
        self,
        work: Callable[[APIClient], T],
        *,
        container: str | None = None,
        seconds: float | None = None,
    ) -> T:
        """What `work` returns of the SDK's client, run in a thread.

        Args:
            container: the name that was asked for, where the call is about one.
            seconds: when to give up; the call's own time-out unless said.

        Raises:
            ProblemError: `runtime.*`, or `container.not_found`, `container.conflict`.
        """
        # Sockets time out before this does; it is for a runtime that drips.
        limit = seconds if seconds is not None else self._patience.call + 2
        try:
            with fail_after(limit):
                return await self._workers.run(lambda: self._run(work))
        except CALL_ERRORS as error:
            raise problem_of(error, self.address, container=container) from error

    async def inspect(self, name: str) -> Json:
        """All that the runtime knows of a container."""
        try:
            return await self._inspect(name)
        except ProblemError as problem:
            # Podman 4.3 trips over a process that ends while it looks; then it has ended.
            if not (self.podman and "no such process" in problem.detail):
                raise
            return await self._inspect(name)

    async def _inspect(self, name: str) -> Json:
        found: Json = await self.call(lambda client: client.inspect_container(name), container=name)
        return found

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, object] | None = None,
        seconds: float | None = None,
    ) -> Any:
        """The whole answer as JSON, None where it is empty. For calls that may take long.

        The SDK's client gives up on any that is silent for its time-out; this one, only after
        `seconds`, the call's own time-out unless said. `path` is quoted already.

        Raises:
            ProblemError: `runtime.*`; `params["status"]` of one that was refused.
        """
        limit = seconds if seconds is not None else self._patience.call
        answer = bytearray()
        try:
            async with self.stream(method, path, query=query, body=body) as stream:
                with fail_after(limit):
                    while pieces := await stream.read():
                        answer += b"".join(piece.data for piece in pieces)
                        if len(answer) > ANSWER_LIMIT_BYTES:
                            raise ValueError("an answer without end")
            return msgspec.json.decode(answer) if answer.strip() else None
        except CALL_ERRORS as error:
            raise problem_of(error, self.address) from error

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, object] | None = None,
        upgrade: bool = False,
    ) -> AsyncIterator[ApiStream]:
        """A streaming request; cut when the block is left. `path` is quoted already.

        Raises:
            ProblemError: `runtime.unreachable`, `runtime.permission`. What the stream raises
                inside the block is for the caller, see `refusals.problem_of`.
        """
        target = f"/v{self.api_version}{path}"
        if query:
            target += f"?{urlencode(query)}"
        try:
            with fail_after(self._patience.connect):
                stream = await ApiStream.request(
                    socket_path(self.address), method, target, body=body, upgrade=upgrade
                )
        except OSError as error:
            raise problem_of(error, self.address) from error
        try:
            yield stream
        finally:
            await stream.close()

    def close(self) -> None:
        """Give sockets back, the last one when the last call that is under way has ended."""
        with self._lock:
            self._closed = True
            idle = not self._under_way
        if idle:
            self._client.close()

    def _run(self, work: Callable[[APIClient], T]) -> T:
        with self._lock:
            self._under_way += 1
        try:
            return work(self._client)
        finally:
            with self._lock:
                self._under_way -= 1
                last = self._closed and not self._under_way
            if last:
                self._client.close()
