"""A command that runs in a container on a node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from agent.protocol.containers import ExecExit, ExecOutput, ExecStarted, TerminalSize
from agent.protocol.problems import ProblemError
from console.link.deadline import within
from console.link.events import Event
from console.link.problems import garbage, too_slow
from console.link.requests import decode
from console.link.stream import Stream

START_TIMEOUT_SECONDS = 30.0

Feed = Callable[[str, bytes | TerminalSize | None], Awaitable[None]]


class Exec:
    """The command's output, and ways to feed it. Closing it cuts the command's connection."""

    def __init__(self, node: str, exec_id: str, stream: Stream, feed: Feed) -> None:
        self.id = exec_id
        self._node = node
        self._stream = stream
        self._feed = feed

    @classmethod
    async def begin(cls, node: str, stream: Stream, feed: Feed) -> Exec:
        """Wait for `event: started`; closes the stream where it does not come."""
        try:
            exec_id = await within(START_TIMEOUT_SECONDS, _started(node, stream))
        except asyncio.TimeoutError:
            stream.close()
            raise too_slow(node) from None
        except BaseException:
            stream.close()
            raise
        return cls(node, exec_id, stream, feed)

    async def output(self) -> AsyncGenerator[ExecOutput | ExecExit, None]:
        """Pieces of output as they come; an ExecExit is the last.

        Raises:
            ProblemError: `link.unreachable` where the link is cut before the command ends,
                `link.stale` where it is silent.
        """
        while True:
            for event in await self._stream.read():
                if event.name == "output":
                    yield decode(self._node, event.data, ExecOutput)
                elif event.name == "exit":
                    yield decode(self._node, event.data, ExecExit)
                    return

    async def write(self, data: bytes) -> None:
        """Feed the command's standard input."""
        await self._feed(self.id, data)

    async def end_input(self) -> None:
        """Let the command see the end of its input."""
        await self._feed(self.id, None)

    async def resize(self, columns: int, rows: int) -> None:
        """Tell the command its terminal's new size; one that has just ended does not mind."""
        try:
            await self._feed(self.id, TerminalSize(columns=columns, rows=rows))
        except ProblemError as problem:
            if problem.code != "exec.not_found":
                raise

    def close(self) -> None:
        self._stream.close()


async def _started(node: str, stream: Stream) -> str:
    events: list[Event] = []
    while not events:
        events = await stream.read()
    if events[0].name != "started":
        raise garbage(node, "an exec that does not begin with its start")
    stream.unread(events[1:])
    return decode(node, events[0].data, ExecStarted).id
