"""The seed's side: `GET /blobs/<diff_id>` over TLS, for who has a grant. Nothing else is here.

A server of its own, not one more listener of the API: whoever is on the site's network reaches
it, so it knows one request, takes one per connection, and has few connections.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
from collections import Counter
from http import HTTPStatus
from typing import Protocol

import h11
from anyio import fail_after

from agent.images.blobs import StoredBlob
from agent.images.threads import Threads
from agent.images.uploads import Uploads
from agent.protocol import tus
from agent.protocol.problems import ProblemError
from agent.protocol.site import BLOBS_PATH, ENCODER_HEADER, SIZE_HEADER
from agent.site.grants import Grants

CONNECTIONS_LIMIT = 64
# A node has several: one for each fetch job, and those that are just ending.
CONNECTIONS_EACH = 8
HEAD_SECONDS = 10.0
HEAD_LIMIT_BYTES = 16 * 1024
STALLED_SECONDS = 60.0  # of a reader that takes nothing more
PIECE_BYTES = 512 * 1024
THREADS = 4

DIFF_ID = re.compile(r"sha256:[0-9a-f]{64}")
RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?")

log = logging.getLogger(__name__)


class Served(Protocol):
    """What a seed has."""

    def open_stored(self, diff_id: str) -> StoredBlob:
        """Its bytes as they lie here. Blocks. Raises ProblemError: they are not here."""


class _RefusedError(Exception):
    def __init__(self, status: HTTPStatus, headers: dict[str, str] | None = None) -> None:
        super().__init__(status.phrase)
        self.status, self.headers = status, headers or {}


class SeedServer:
    """Serves what one node has to its site. For one event loop; the disk is read in threads.

    Args:
        name: of bytes whose encoder is not known any more, so that they are not mistaken for
            another node's.
    """

    def __init__(self, served: Served, uploads: Uploads, grants: Grants, *, name: str) -> None:
        self._served, self._uploads, self._grants, self._name = served, uploads, grants, name
        self._threads = Threads(THREADS)
        self._peers: Counter[str] = Counter()
        self._calls: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.sent_bytes = 0

    async def start(self, listening: socket.socket, context: ssl.SSLContext) -> None:
        """Serve on a socket that listens already."""
        self._server = await asyncio.start_server(
            self._answer,
            sock=listening,
            ssl=context,
            ssl_handshake_timeout=HEAD_SECONDS,
            limit=HEAD_LIMIT_BYTES,
        )

    async def stop(self) -> None:
        """End all answers."""
        if self._server is not None:
            self._server.close()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        self._threads.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = asyncio.current_task()
        peer = (writer.get_extra_info("peername") or ("",))[0]
        full = self._peers.total() >= CONNECTIONS_LIMIT or self._peers[peer] >= CONNECTIONS_EACH
        if call is None or full:
            writer.transport.abort()
            return
        self._calls.add(call)
        self._peers[peer] += 1
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
            log.info("%s ended early: %s", peer, str(error) or type(error).__name__)
        except asyncio.CancelledError:
            pass  # the agent stops; there is nothing to give back
        finally:
            self._calls.discard(call)
            self._peers[peer] -= 1
            self._peers += Counter()  # forgets those at zero
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT_BYTES)
        with fail_after(HEAD_SECONDS):
            request = await _request(http, reader)
        try:
            blob = await self._granted(request)
        except _RefusedError as refused:
            _begin(http, writer, refused.status, {**refused.headers, "Content-Length": "0"})
            writer.write(http.send(h11.EndOfMessage()) or b"")
        else:
            try:
                await self._send(http, writer, request, *blob)
            finally:
                await self._threads.run(blob[1].file.close)
        with fail_after(STALLED_SECONDS):
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    async def _granted(self, request: h11.Request) -> tuple[str, StoredBlob]:
        """The layer that is asked for, if this caller may have it."""
        headers = dict(request.headers)
        scheme, _, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        granted = self._grants.granted(secret.strip()) if scheme.lower() == "bearer" else None
        if granted is None:
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})
        if request.method != b"GET":
            raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET"})
        diff_id = request.target.decode("latin-1").removeprefix(BLOBS_PATH)
        # Of a layer that is not granted nobody learns whether it is here.
        if not DIFF_ID.fullmatch(diff_id) or diff_id not in granted:
            raise _RefusedError(HTTPStatus.NOT_FOUND)
        try:
            return diff_id, await self._threads.run(self._served.open_stored, diff_id)
        except ProblemError:
            raise _RefusedError(HTTPStatus.NOT_FOUND) from None

    async def _send(
        self,
        http: h11.Connection,
        writer: asyncio.StreamWriter,
        request: h11.Request,
        diff_id: str,
        blob: StoredBlob,
    ) -> None:
        asked = dict(request.headers).get(b"range")
        start, end = _range(asked, blob.stored_bytes)
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "no-store",
            "Content-Type": "application/octet-stream",
            ENCODER_HEADER: self._encoder(diff_id, blob),
            SIZE_HEADER: str(blob.size_bytes),
        }
        if start >= end and asked is not None:
            headers |= {"Content-Range": f"bytes */{blob.stored_bytes}", "Content-Length": "0"}
            _begin(http, writer, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
            writer.write(http.send(h11.EndOfMessage()) or b"")
            return
        headers["Content-Length"] = str(end - start)
        if asked is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{blob.stored_bytes}"
        status = HTTPStatus.OK if asked is None else HTTPStatus.PARTIAL_CONTENT
        _begin(http, writer, status, headers)
        await self._threads.run(blob.file.seek, start)
        while start < end:
            piece = await self._threads.run(blob.file.read, min(PIECE_BYTES, end - start))
            if not piece:
                raise OSError(f"{diff_id} is shorter than it was")
            start += len(piece)
            writer.write(http.send(h11.Data(data=piece)) or b"")
            with fail_after(STALLED_SECONDS):
                await writer.drain()
            self.sent_bytes += len(piece)
        writer.write(http.send(h11.EndOfMessage()) or b"")

    def _encoder(self, diff_id: str, blob: StoredBlob) -> str:
        if not blob.compressed:
            return tus.IDENTITY
        known = self._uploads.encoder_of(diff_id)
        if known is not None and known.startswith(tus.ZSTD):
            return known
        return f"{tus.ZSTD}/as-stored/{self._name}/{blob.stored_bytes}"


async def _request(http: h11.Connection, reader: asyncio.StreamReader) -> h11.Request:
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(await reader.read(HEAD_LIMIT_BYTES))
    if not isinstance(event, h11.Request):
        raise h11.RemoteProtocolError("it ended before it asked")
    return event


def _begin(
    http: h11.Connection,
    writer: asyncio.StreamWriter,
    status: HTTPStatus,
    headers: dict[str, str],
) -> None:
    lines = {**headers, "Connection": "close"}
    answer = h11.Response(
        status_code=status.value,
        headers=[(name.encode(), value.encode("latin-1")) for name, value in lines.items()],
        reason=status.phrase.encode(),
    )
    writer.write(http.send(answer) or b"")


def _range(asked: bytes | None, size: int) -> tuple[int, int]:
    """From and up to which byte; nothing where that cannot be."""
    if asked is None:
        return 0, size
    match = RANGE.fullmatch(asked.decode("latin-1").strip())
    if match is None:
        return 0, 0
    last = size - 1 if match[2] is None else min(int(match[2]), size - 1)
    return int(match[1]), last + 1
