"""Bodies go from the socket to where the model reads them, and lie nowhere in between.

uvicorn's own way copies a body four times: out of the socket, out of the parser, to what it keeps,
and to the application, with a turn of the loop for each 64 KiB. Of 4.9 MB, a picture of 640 x 640
as FP32, that is most of what a request costs: images/README.md has the figures.
"""

from __future__ import annotations

import asyncio

import httptools
import numpy as np
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

EXTENSION = "roost.body"
# What a processor loads at once, at most: a tensor that begins at a multiple of it is never copied.
ALIGNED_BYTES = 64


class BodyProtocol(HttpToolsProtocol):
    """uvicorn's, of which the application may read a body by itself: `scope["extensions"]`."""

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        names = {name for name, _ in self.headers}
        if b"content-length" not in names or b"transfer-encoding" in names:
            return
        if self.expect_100_continue or self.parser.should_upgrade():
            return
        # The scope's own type knows no extensions but those of the specification.
        extensions: dict[str, object] = {EXTENSION: BodyReader(self, self.cycle)}
        self.scope["extensions"] = extensions  # type: ignore[typeddict-item]

    def body_came(self) -> None:
        """Goes on behind a body that the parser has not seen."""
        self.transport.set_protocol(self)
        # The old one still waits for that body, and cannot be told.
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.on_message_complete()


class BodyReader:
    """Reads the body of one request, whose length was said."""

    def __init__(self, http: BodyProtocol, cycle: RequestResponseCycle) -> None:
        self._http, self._cycle = http, cycle

    async def read(self, length: int, *, align_at: int, seconds: float) -> memoryview:
        """All of it; what begins at `align_at` is where a processor likes to load from.

        Args:
            length: what Content-Length says.

        Raises:
            TimeoutError: it did not come in time; the connection is of no further use.
            ConnectionError: the client went away amid it.
        """
        http, cycle = self._http, self._cycle
        if cycle.disconnected:
            raise ConnectionResetError
        if not cycle.more_body:
            return memoryview(cycle.body)
        buffer = _aligned(length, align_at)
        came = len(cycle.body)
        buffer[:came] = cycle.body
        cycle.body = bytearray()
        loop = asyncio.get_running_loop()
        filling = _Filling(http, buffer[came:], loop.create_future())
        http.transport.set_protocol(filling)
        http.flow.resume_reading()
        timer = loop.call_later(seconds, filling.fail, TimeoutError())
        try:
            await filling.done
        finally:
            timer.cancel()
            if http.transport.get_protocol() is filling:
                http.transport.set_protocol(http)
        return buffer


class _Filling(asyncio.BufferedProtocol):
    """What the connection speaks while a body comes."""

    def __init__(self, http: BodyProtocol, rest: memoryview, done: asyncio.Future[None]) -> None:
        self._http, self._rest, self.done = http, rest, done

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._rest

    def buffer_updated(self, nbytes: int) -> None:
        self._rest = self._rest[nbytes:]
        if not self._rest:
            self._http.body_came()
            if not self.done.done():
                self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def eof_received(self) -> None:
        self._http.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._http.connection_lost(exc)
        self.fail(ConnectionResetError())

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()


def _aligned(length: int, align_at: int) -> memoryview:
    """Memory that nobody has cleared, as NumPy has it: in large pages where the kernel has them."""
    room = np.empty(length + ALIGNED_BYTES, np.uint8)
    skip = -(room.ctypes.data + align_at) % ALIGNED_BYTES
    return room.data[skip : skip + length]
