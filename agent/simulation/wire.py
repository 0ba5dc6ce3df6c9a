"""What lies between a simulated node and its callers: a relay that can go wrong.

The faults are in the wire, not in the data: the agent behind it is well and does not know.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Literal

Mood = Literal["clear", "offline", "flapping", "slow", "silent", "garbage", "endless"]

LATENCY_SECONDS = 4.0
FLAP_UP_SECONDS = 12.0
FLAP_DOWN_SECONDS = 8.0
PIECE_BYTES = 64 * 1024
# Bytes on their way on a slow wire, before the agent has to wait.
SLOW_PIECES = 64
ENDLESS_PAUSE_SECONDS = 0.01
GARBAGE = b"220 scale-7 ready\r\n\x00\x1b[31m\xff\xfe not http\r\n"
ENDLESS_HEAD = (
    b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nroost-api-version: 1.0\r\n\r\n{"name": "'
)


class Wire:
    """A unix socket at `path` that leads to the one at `target`, as its mood lets it.

    clear: as if it were not there. offline: nobody listens. flapping: it comes and goes.
    slow: what the node says arrives 4 s later. silent: connects, and never answers.
    garbage: answers with something that is not HTTP. endless: an answer without an end.
    """

    def __init__(
        self,
        path: Path,
        target: Path,
        mood: Mood = "clear",
        *,
        latency_seconds: float = LATENCY_SECONDS,
        up_seconds: float = FLAP_UP_SECONDS,
        down_seconds: float = FLAP_DOWN_SECONDS,
    ) -> None:
        self.path, self.target = path, target
        self.mood = mood
        self._latency = latency_seconds
        self._up_seconds, self._down_seconds = up_seconds, down_seconds
        self._server: asyncio.Server | None = None
        self._flapping: asyncio.Task[None] | None = None
        self._talks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Start, in the mood it was given."""
        await self.misbehave(self.mood)

    async def close(self) -> None:
        """End all connections and give the socket back."""
        await self._stop_flapping()
        await self._down()
        await asyncio.to_thread(self.path.unlink, missing_ok=True)

    async def misbehave(self, mood: Mood) -> None:
        """Change the mood. Connections are cut, as those of the old mood must not go on."""
        await self._stop_flapping()
        await self._down()
        self.mood = mood
        if mood == "flapping":
            await self._up()
            self._flapping = asyncio.create_task(self._flap(), name=f"flap {self.path.name}")
        elif mood != "offline":
            await self._up()

    @property
    def listens(self) -> bool:
        """Whether a caller can connect now."""
        return self._server is not None

    async def _up(self) -> None:
        sock = await asyncio.to_thread(_bind, self.path)
        self._server = await asyncio.start_server(self._met, sock=sock)

    async def _down(self) -> None:
        """Stop listening and cut what is connected. The socket's file stays, as after a crash."""
        if self._server is not None:
            self._server.close()
            self._server = None
        else:
            (await asyncio.to_thread(_bind, self.path)).close()
        talks = list(self._talks)
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)

    async def _flap(self) -> None:
        while True:
            await asyncio.sleep(self._up_seconds)
            await self._down()
            await asyncio.sleep(self._down_seconds)
            await self._up()

    async def _stop_flapping(self) -> None:
        if self._flapping is not None:
            self._flapping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flapping
            self._flapping = None

    def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A caller that hangs up ends the talk, whatever it was about.
        with contextlib.suppress(OSError):
            try:
                if self.mood in ("clear", "slow", "flapping"):
                    await self._relay(reader, writer)
                else:
                    await self._refuse_sense(reader, writer)
            finally:
                writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_unix_connection(self.target)
        delay = self._latency if self.mood == "slow" else 0.0
        asked = asyncio.create_task(_copy(reader, ours))
        try:
            # The node's end ends the talk; the caller's end is only passed on.
            await (_copy_late(theirs, writer, delay) if delay else _copy(theirs, writer))
        finally:
            asked.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await asked
            ours.transport.abort()

    async def _refuse_sense(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read(PIECE_BYTES)
        if self.mood == "garbage":
            writer.write(GARBAGE)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        elif self.mood == "endless":
            writer.write(ENDLESS_HEAD)
            while True:
                writer.write(b"a" * PIECE_BYTES)
                await writer.drain()
                await asyncio.sleep(ENDLESS_PAUSE_SECONDS)
        else:
            while await reader.read(PIECE_BYTES):
                pass


def _bind(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    path.chmod(0o600)
    return sock


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _copy_late(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float
) -> None:
    """As `_copy`, each piece `delay` seconds after it came."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(SLOW_PIECES)

    async def gather() -> None:
        piece = b"."
        while piece:
            try:
                piece = await reader.read(PIECE_BYTES)
            except OSError:  # the node cut the connection: that arrives late too
                piece = b""
            await pieces.put((loop.time() + delay, piece))

    gathering = asyncio.create_task(gather())
    try:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not piece:
                return
            writer.write(piece)
            await writer.drain()
    finally:
        gathering.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await gathering
