"""A container's log as a stream of lines."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from anyio import move_on_after

from agent.containers.api_stream import StreamBrokenError, StreamRefusedError
from agent.containers.connection import Connection, Patience
from agent.containers.frames import FramingError, Part, Piece, StreamDecoder
from agent.containers.inspection import Inspected
from agent.containers.log_lines import LineAssembler
from agent.containers.log_request import LogRequest
from agent.containers.refusals import problem_of
from agent.protocol.containers import LogLine
from agent.protocol.problems import ProblemError


async def read(
    connection: Connection, one: Inspected, wanted: LogRequest, patience: Patience
) -> AsyncGenerator[Sequence[LogLine], None]:
    """Lines in batches, the first one empty: it says that the runtime agreed.

    A batch is what one read from the socket brought. The next read waits for the caller to come
    back, so that a slow one makes the runtime wait and fills no memory here.

    Raises:
        ProblemError: `runtime.*`, `container.not_found`, `container.conflict`.
    """
    container = one.container
    query = wanted.query(podman=connection.podman)
    path = f"/containers/{container.id}/logs"
    async with connection.stream("GET", path, query=query) as stream:
        try:
            with move_on_after(patience.answer):
                await stream.answered()
            yield ()
            lines = _Lines(framed=not one.tty)
            while pieces := await stream.read():
                if batch := lines.take(pieces):
                    yield batch
            if batch := lines.assembler.finish():
                yield batch
        except (StreamRefusedError, StreamBrokenError, FramingError) as error:
            raise _problem(error, connection.address, container.name) from error


class _Lines:
    def __init__(self, *, framed: bool) -> None:
        self.assembler = LineAssembler(framed=framed)
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
