"""A link that counts bytes, and is cut, stalls or spoils what it carries where a test says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

READ_BYTES = 64 * 1024


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class CuttingLink:
    """Carries connections to an agent, which `connect` opens.

    `cuts` are counts of bytes that went up, all connections together: there, all are cut.
    `cuts_down` are the same for answers. Bytes count when they have left the console.
    """

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self._connect = connect
        self.up_bytes = 0
        self.down_bytes = 0
        self.cuts: list[int] = []
        self.cuts_down: list[int] = []
        self.stalls: list[int] = []
        self.away = False
        self._carried = asyncio.Condition()
        self.spoil: Callable[[bytes], bytes] = bytes
        self._open: set[asyncio.StreamWriter] = set()
        self._ends: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        """Cut all connections that there are."""
        for writer in self._open:
            writer.transport.abort()

    async def reached(self, up_bytes: int) -> None:
        """Wait until so many bytes have gone up."""
        async with self._carried:
            await self._carried.wait_for(lambda: self.up_bytes >= up_bytes)

    def clear(self) -> None:
        """Let go of all that is left."""
        for writer in self._ends:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        if self.away:
            writer.transport.abort()
            return
        try:
            there, back = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self._open |= ends
        self._ends |= ends
        both = [
            asyncio.create_task(self._up(reader, back)),
            asyncio.create_task(self._down(there, writer)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            self._open -= ends
            # What was carried arrives; aborting would drop it.
            for end in ends:
                end.close()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent = False
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_BYTES):
                before, self.up_bytes = self.up_bytes, self.up_bytes + len(data)
                async with self._carried:
                    self._carried.notify_all()
                if self.stalls and self.up_bytes >= self.stalls[0]:
                    self.stalls.pop(0)
                    silent = True
                if silent:
                    await asyncio.Event().wait()
                if self.cuts and self.up_bytes >= self.cuts[0]:
                    writer.write(self.spoil(data[: max(0, self.cuts.pop(0) - before)]))
                    await writer.drain()
                    self.cut_later()
                    return
                writer.write(self.spoil(data))
                await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(READ_BYTES):
                before, self.down_bytes = self.down_bytes, self.down_bytes + len(data)
                if self.cuts_down and self.down_bytes >= self.cuts_down[0]:
                    writer.write(data[: max(0, self.cuts_down.pop(0) - before)])
                    await writer.drain()
                    return
                writer.write(data)
                await writer.drain()

    def cut_later(self) -> None:
        """Cut the others too, once this one's bytes are through."""
        asyncio.get_running_loop().call_soon(self.cut)


@asynccontextmanager
async def cutting_link(at: Path, agent: Path) -> AsyncIterator[CuttingLink]:
    """Listen on `at` and carry to `agent`, both unix sockets."""
    link = CuttingLink(lambda: asyncio.open_unix_connection(agent))
    async with _carrying(link) as serve:
        server = await asyncio.start_unix_server(serve, at)
        try:
            yield link
        finally:
            server.close()


@asynccontextmanager
async def cutting_port(agent: int) -> AsyncIterator[tuple[CuttingLink, int]]:
    """The same between ports of this machine; what is carried is TLS. Yields the one to use."""
    link = CuttingLink(lambda: asyncio.open_connection("127.0.0.1", agent))
    async with _carrying(link) as serve:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            yield link, server.sockets[0].getsockname()[1]
        finally:
            server.close()


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _carrying(link: CuttingLink) -> AsyncIterator[Serve]:
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await link.serve(reader, writer)

    try:
        yield serve
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        link.clear()
        await asyncio.sleep(0.01)  # transports close in the loop's next rounds
