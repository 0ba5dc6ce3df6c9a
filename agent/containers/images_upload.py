"""An archive on its way into the runtime: one POST with a body of any length, in the loop.

The docker SDK's `load_image` hides what goes wrong. asyncio's streams do not fit either: when the
runtime answers early and closes, the write that fails takes the answer with it. So this is a
socket that is read and written apart. Memory stays at one chunk, for a slow runtime makes `send`
wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from anyio import fail_after

from agent.containers.api_stream import READ_BYTES, ApiAnswer


class Upload:
    """A request that is open. Leaving it before `finish` tells the runtime that it was cut."""

    def __init__(self, connected: socket.socket) -> None:
        reader = asyncio.StreamReader(limit=READ_BYTES)
        self.answer = ApiAnswer(reader)
        self._socket, self._reader = connected, reader
        self._loop = asyncio.get_running_loop()
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    @contextlib.asynccontextmanager
    async def begin(
        cls, socket_path: str, target: str, *, connect_seconds: float
    ) -> AsyncIterator[Upload]:
        """Connect and send the head; the connection is cut when the block is left.

        Raises:
            OSError: the socket cannot be used.
        """
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connected.settimeout(0)  # does not block: the loop waits
        try:
            with fail_after(connect_seconds):
                await asyncio.get_running_loop().sock_connect(connected, socket_path)
            upload = cls(connected)
            try:
                await upload._write(
                    f"POST {target} HTTP/1.1\r\nHost: runtime\r\nConnection: close\r\n"
                    "Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
                )
                yield upload
            finally:
                upload._listening.cancel()
                await asyncio.gather(upload._listening, return_exceptions=True)
        finally:
            connected.close()

    async def send(self, chunk: bytes) -> None:
        """Some of the body.

        Raises:
            OSError: the runtime does not take any more; its answer may say why.
        """
        if chunk:
            await self._write(b"%x\r\n" % len(chunk))
            await self._write(chunk)
            await self._write(b"\r\n")

    async def finish(self) -> None:
        """The body is complete.

        Raises:
            OSError: as in `send`.
        """
        await self._write(b"0\r\n\r\n")

    async def _write(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._socket, data)

    async def _listen(self) -> None:
        # A connection that was reset still has an answer that came before.
        with contextlib.suppress(OSError):
            while data := await self._loop.sock_recv(self._socket, READ_BYTES):
                self._reader.feed_data(data)
        self._reader.feed_eof()
