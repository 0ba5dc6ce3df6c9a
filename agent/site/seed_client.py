"""The fetching side: one layer's stored bytes from a seed, whose certificate the grant pins."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import ssl
from collections.abc import AsyncIterator
from http import HTTPStatus

import h11
import msgspec
from anyio import fail_after

from agent.protocol.problems import ProblemError
from agent.protocol.site import BLOBS_PATH, ENCODER_HEADER, SIZE_HEADER, SiteGrant
from agent.site import seed_problems as problems

# On one site an address answers at once, or not at all.
CONNECT_SECONDS = 4.0
SILENT_SECONDS = 30.0
HEAD_LIMIT_BYTES = 16 * 1024
READ_BYTES = 256 * 1024
TOTAL = re.compile(r"bytes (?:(\d{1,15})-\d{1,15}|\*)/(\d{1,15})")


class StoredLayer(msgspec.Struct, frozen=True):
    """What a seed says of a layer that it sends."""

    encoder: str
    size_bytes: int  # unpacked
    stored_bytes: int
    start: int  # of what comes now, in the stored bytes


class Answer:
    """A layer that comes from a seed. Close it."""

    def __init__(
        self,
        layer: StoredLayer,
        http: h11.Connection,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        grant: SiteGrant,
    ) -> None:
        self.layer = layer
        self.received_bytes = 0
        self._http, self._grant = http, grant
        self._reader, self._writer = streams

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes from `layer.start` on. Raises ProblemError `site.cut`."""
        while True:
            event = await _event(self._http, self._reader, self._grant)
            if not isinstance(event, h11.Data):
                return
            self.received_bytes += len(event.data)
            yield bytes(event.data)

    def close(self) -> None:
        """End it now, whether all came or not."""
        self._writer.transport.abort()


class SeedClient:
    """Asks one seed for layers. One connection for each; the address that worked stays first."""

    def __init__(self, grant: SiteGrant, *, connect_seconds: float = CONNECT_SECONDS) -> None:
        self._grant = grant
        self._connect_seconds = connect_seconds
        self._addresses = list(grant.addresses)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        # Any certificate passes the handshake; `_shown` is compared before a byte is sent.
        self._context.verify_mode = ssl.CERT_NONE
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2

    async def get(self, diff_id: str, start: int) -> Answer:
        """The layer from stored byte `start` on.

        Raises:
            ProblemError: `site.unreachable`, `site.fingerprint`, `site.refused`, `site.lacks`,
                `site.cut`.
        """
        reader, writer = await self._connect()
        try:
            http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_LIMIT_BYTES)
            request = h11.Request(
                method="GET",
                target=BLOBS_PATH + diff_id,
                headers=[
                    ("Host", "roost"),
                    ("Authorization", f"Bearer {self._grant.secret}"),
                    ("Range", f"bytes={start}-"),
                ],
            )
            writer.write((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
            event = await _event(http, reader, self._grant)
            layer = self._layer(event, diff_id, start)
        except BaseException:
            writer.transport.abort()
            raise
        return Answer(layer, http, (reader, writer), self._grant)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        other: ProblemError | None = None
        why = []
        for address in tuple(self._addresses):
            host, _, port = address.rpartition(":")
            try:
                with fail_after(self._connect_seconds):
                    reader, writer = await asyncio.open_connection(
                        host.strip("[]"), int(port), ssl=self._context, limit=READ_BYTES
                    )
            except (OSError, OverflowError, TimeoutError) as error:
                why.append(f"{address}: {_why(error)}")
                continue
            shown = _shown(writer)
            if shown == self._grant.fingerprint:
                self._addresses.remove(address)
                self._addresses.insert(0, address)
                return reader, writer
            writer.transport.abort()
            # Behind an address of another network may be another node.
            other = problems.other_certificate(self._grant, address, shown)
        raise other or problems.unreachable(self._grant, why)

    def _layer(self, answer: object, diff_id: str, start: int) -> StoredLayer:
        if not isinstance(answer, h11.Response):
            raise problems.cut(self._grant, "it answered nothing")
        status = answer.status_code
        if status == HTTPStatus.UNAUTHORIZED:
            raise problems.refused(self._grant)
        if status == HTTPStatus.NOT_FOUND:
            raise problems.lacks(self._grant, diff_id)
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers
        }
        place = TOTAL.fullmatch(headers.get("content-range", ""))
        size = headers.get(SIZE_HEADER.lower(), "")
        encoder = headers.get(ENCODER_HEADER.lower(), "")
        beyond = status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if place is None or not size.isdecimal() or not encoder:
            raise problems.cut(self._grant, f"it answered {status} without what belongs to it")
        if not beyond and (status != HTTPStatus.PARTIAL_CONTENT or place[1] != str(start)):
            raise problems.cut(self._grant, f"it answered {status} from byte {place[1]}")
        return StoredLayer(encoder, int(size), int(place[2]), start)


async def _event(http: h11.Connection, reader: asyncio.StreamReader, grant: SiteGrant) -> object:
    """h11's next event of the answer. Raises ProblemError `site.cut`."""
    try:
        while (event := http.next_event()) is h11.NEED_DATA:
            with fail_after(SILENT_SECONDS):
                http.receive_data(await reader.read(READ_BYTES))
    except TimeoutError:
        raise problems.cut(grant, f"nothing came for {SILENT_SECONDS:g} s") from None
    except (OSError, h11.RemoteProtocolError) as error:
        raise problems.cut(grant, str(error)) from None
    if isinstance(event, h11.ConnectionClosed):
        raise problems.cut(grant, "it closed the connection")
    return event


def _shown(writer: asyncio.StreamWriter) -> str:
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return f"sha256:{hashlib.sha256(certificate or b'').hexdigest()}"


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError) and error.errno is not None and error.errno in errno.errorcode:
        return os.strerror(error.errno)  # asyncio puts a text of its own into strerror
    return str(error)
