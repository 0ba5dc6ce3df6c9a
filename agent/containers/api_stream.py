"""A streaming request to the runtime's API, in the loop, without a thread.

The docker SDK answers everything else. Its streams could not be used: they drop which of stdout
and stderr a byte came from, they may lose the first bytes of an exec that was upgraded, and one
that has not begun cannot be closed: Podman sends no response head for `logs?follow` of a silent
container before its first line (seen on 4.3.1).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

import msgspec

from agent.containers.frames import ChunkDecoder, FramingError, Piece
from agent.protocol.decoding import from_json

READ_BYTES = 64 * 1024
REFUSAL_LIMIT_BYTES = 64 * 1024


class StreamRefusedError(Exception):
    """The runtime answered with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class StreamBrokenError(Exception):
    """The connection ended in the middle, or what came is not HTTP."""


class _Refusal(msgspec.Struct):
    message: str = ""


class ApiAnswer:
    """What a runtime answers to one request, as it comes."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._chunks: ChunkDecoder | None = None
        self._left: int | None = None  # of a body of known length
        self._head_read = False
        self._refused: StreamRefusedError | None = None

    async def answered(self) -> None:
        """Wait for the answer's head. Cancelling it loses nothing.

        Raises:
            StreamRefusedError: with the runtime's own message.
            StreamBrokenError: what answers does not speak HTTP, or ended.
        """
        if self._refused is not None:
            raise self._refused
        if self._head_read:
            return
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise StreamBrokenError("the runtime closed the connection") from error
        except asyncio.LimitOverrunError as error:
            raise StreamBrokenError("what answers does not speak HTTP") from error
        except OSError as error:
            raise StreamBrokenError(str(error)) from error
        self._head_read = True
        status, headers = _parse_head(head)
        if headers.get("transfer-encoding", "").lower() == "chunked":
            self._chunks = ChunkDecoder()
        elif (length := headers.get("content-length", "")).isdigit():
            self._left = int(length)  # Podman says 0 of an empty log
        if status >= 400:
            self._refused = StreamRefusedError(status, await self._refusal())
            raise self._refused

    async def read(self) -> list[Piece]:
        """What came since; empty at the proper end.

        Raises:
            StreamRefusedError, StreamBrokenError: see `answered`.
        """
        await self.answered()
        while not self._ended():
            wanted = READ_BYTES if self._left is None else min(self._left, READ_BYTES)
            try:
                data = await self._reader.read(wanted)
            except OSError as error:
                raise StreamBrokenError(str(error)) from error
            if not data:
                if self._chunks is None and self._left is None:
                    break
                raise StreamBrokenError("the runtime closed the connection in the middle")
            if pieces := self._pieces(data):
                return pieces
        return []

    def _ended(self) -> bool:
        return self._left == 0 or (self._chunks is not None and self._chunks.ended)

    def _pieces(self, data: bytes) -> list[Piece]:
        if self._chunks is None:
            if self._left is not None:
                self._left -= len(data)
            return [Piece(data, begins=True)]
        try:
            return self._chunks.feed(data)
        except FramingError as error:
            raise StreamBrokenError(str(error)) from error

    async def _refusal(self) -> str:
        """The message of an error answer, in the runtime's own words."""
        body = b""
        while len(body) < REFUSAL_LIMIT_BYTES and (pieces := await self.read()):
            body += b"".join(piece.data for piece in pieces)
        try:
            message = from_json(body, _Refusal).message
        except msgspec.DecodeError:
            message = body.decode(errors="replace")
        return message.strip() or "no reason given"


class ApiStream(ApiAnswer):
    """One request and its endless answer over a unix socket.

    At most about three times `READ_BYTES` wait here; a reader that is slow makes the runtime wait.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader)
        self._writer = writer

    @classmethod
    async def request(
        cls,
        socket_path: str,
        method: str,
        target: str,
        *,
        body: Mapping[str, object] | None = None,
        upgrade: bool = False,
    ) -> ApiStream:
        """Connect and send. The answer's head is read by `answered` or the first `read`.

        Raises:
            OSError: the socket cannot be used.
        """
        reader, writer = await asyncio.open_unix_connection(socket_path, limit=READ_BYTES)
        lines = [f"{method} {target} HTTP/1.1", "Host: runtime"]
        content = b"" if body is None else msgspec.json.encode(body)
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        lines += ["Connection: Upgrade", "Upgrade: tcp"] if upgrade else ["Connection: close"]
        writer.write("\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + content)
        return cls(reader, writer)

    async def write(self, data: bytes) -> None:
        """Send raw bytes; waits while the other side does not read.

        Raises:
            StreamBrokenError: the connection is gone.
        """
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise StreamBrokenError(str(error)) from error
        if self._writer.is_closing():
            raise StreamBrokenError("the connection is closed")

    def close_input(self) -> None:
        """Say that no more bytes will be sent."""
        with contextlib.suppress(OSError):
            if not self._writer.is_closing():
                self._writer.write_eof()

    async def close(self) -> None:
        """Cut the connection, also when a read or a write waits on it."""
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *rest = head.decode("latin-1").split("\r\n")
    version, _, remainder = first.partition(" ")
    status = remainder[:3]
    if not version.startswith("HTTP/1.") or not status.isdigit():
        raise StreamBrokenError("what answers does not speak HTTP")
    headers = {}
    for line in rest:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(status), headers
