"""A container's log as a stream of lines."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec
from anyio import move_on_after

from agent.containers.api_stream import StreamBrokenError, StreamRefusedError
from agent.containers.connection import Connection, Patience
from agent.containers.frames import FramingError, Part, Piece, StreamDecoder
from agent.containers.inspection import Inspected
from agent.containers.log_lines import LineAssembler
from agent.containers.log_request import LogRequest
from agent.containers.moments import rfc3339_nanoseconds
from agent.containers.refusals import problem_of
from agent.protocol.containers import LOG_LINE_LIMIT_BYTES, LogLine
from agent.protocol.problems import ProblemError

REMEMBERED_LINES = 64


async def read(
    connection: Connection,
    one: Inspected,
    wanted: LogRequest,
    patience: Patience,
    line_limit_bytes: int = LOG_LINE_LIMIT_BYTES,
) -> AsyncGenerator[Sequence[LogLine], None]:
    """Lines in batches, the first one empty: it says that the runtime agreed.

    A batch is what one read from the socket brought. The next read waits for the caller to come
    back, so that a slow one makes the runtime wait and fills no memory here.

    Raises:
        ProblemError: `runtime.*`, `container.not_found`, `container.conflict`.
    """
    told = _LastTold()
    limit = line_limit_bytes
    async with aclosing(_stream(connection, one, wanted, patience, limit)) as batches:
        async for batch in batches:
            told.add(batch)
            yield batch
    if not wanted.follow or connection.podman:
        return
    # Docker up to 20.10 may end a follower before it sent the last lines of a container that
    # ended, and those are the ones that say why.
    rest = msgspec.structs.replace(wanted, follow=False, tail=None, since=told.since(wanted.since))
    try:
        async with aclosing(_stream(connection, one, rest, patience, limit)) as batches:
            async for batch in batches:
                if fresh := told.without(batch):
                    yield fresh
    except ProblemError as problem:
        # It was removed meanwhile, as with `docker run --rm`, and its log with it.
        if problem.code not in ("container.not_found", "container.conflict"):
            raise


async def _stream(
    connection: Connection, one: Inspected, wanted: LogRequest, patience: Patience, limit: int
) -> AsyncGenerator[Sequence[LogLine], None]:
    container = one.container
    query = wanted.query(podman=connection.podman)
    path = f"/containers/{container.id}/logs"
    async with connection.stream("GET", path, query=query) as stream:
        try:
            with move_on_after(patience.answer):
                await stream.answered()
            yield ()
            lines = _Lines(framed=not one.tty, limit=limit)
            while pieces := await stream.read():
                if batch := lines.take(pieces):
                    yield batch
            if batch := lines.assembler.finish():
                yield batch
        except (StreamRefusedError, StreamBrokenError, FramingError) as error:
            raise _problem(error, connection.address, container.name) from error


class _LastTold:
    """The last lines that were told, to go on after them. Both streams are stamped apart, so
    their order is not exactly that of their stamps."""

    def __init__(self) -> None:
        self._keys: deque[tuple[str, str]] = deque(maxlen=REMEMBERED_LINES)

    def add(self, batch: Sequence[LogLine]) -> None:
        self._keys.extend((line.at or "", line.stream) for line in batch[-REMEMBERED_LINES:])

    def since(self, asked: int | None) -> int | None:
        """From where the runtime must be asked again."""
        moments = [moment for at, _ in self._keys if (moment := rfc3339_nanoseconds(at))]
        return min(moments, default=asked)

    def without(self, batch: Sequence[LogLine]) -> list[LogLine]:
        """What of these lines was not told."""
        fresh = []
        for line in batch:
            key = (line.at or "", line.stream)
            if key in self._keys:
                self._keys.remove(key)
            else:
                fresh.append(line)
        return fresh


class _Lines:
    def __init__(self, *, framed: bool, limit: int) -> None:
        self.assembler = LineAssembler(framed=framed, limit_bytes=limit)
        self._frames = StreamDecoder() if framed else None

    def take(self, pieces: list[Piece]) -> list[LogLine]:
        if self._frames is None:
            parts = [Part("stdout", piece.data, piece.begins) for piece in pieces]
        else:
            parts = self._frames.feed(b"".join(piece.data for piece in pieces))
        return [line for part in parts for line in self.assembler.feed(part)]


def _problem(error: Exception, address: str, name: str) -> ProblemError:
    if isinstance(error, FramingError):
        return ProblemError(
            "runtime.refused",
            f"{address} sent a log that cannot be read: {error}",
            params={"address": address, "container": name},
        )
    return problem_of(error, address, container=name)
