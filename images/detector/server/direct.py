"""Bodies go from the socket to where the model reads them, and lie nowhere in between.

uvicorn's own way copies a body four times: out of the socket, out of the parser, to what it keeps,
and to the application, with a turn of the loop for each 64 KiB. Of 4.9 MB, a picture of 640 x 640
as FP32, that is most of what a request costs: images/README.md has the figures.
"""

from __future__ import annotations

import asyncio

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from .memory import aligned

EXTENSION = "roost.body"
# Of what comes before a body: uvicorn waits for it as long as it takes, and keeps all of it.
HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10.0
# Who sends a body listens once it is sent: what is refused is read on for so long.
LINGER_SECONDS = 10.0


class BodyProtocol(HttpToolsProtocol):
    """uvicorn's, of which the application may read a body by itself: `scope["extensions"]`."""

    _head_timer: asyncio.TimerHandle | None = None  # while a head comes
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_ended()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        began = self._head_timer
        super().data_received(data)
        # Where a head has only begun in these, most of them may be what came before it.
        if self._head_timer is None or self._head_timer is not began:
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._head_ended()
            self.send_400_response(f"the request's head is longer than {HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_ended()
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.timeout_keep_alive_handler)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_timer is not None:  # else it is behind the body
            super().on_header(name, value)

    def _head_ended(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_headers_complete(self) -> None:
        self._head_ended()
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

    def linger(self) -> None:
        """End the connection, and read what comes until its other side has ended it, too."""
        if self.transport.is_closing():
            return
        self.pipeline.clear()  # what came behind it has no answer
        self.transport.write_eof()
        self.transport.set_protocol(_Throwing(self))
        self.flow.resume_reading()


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
        buffer = aligned(length, align_at)
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

    def refuse(self) -> None:
        """It is not read: once it is answered the connection ends."""
        self._cycle.transport = _Ending(self._http)  # type: ignore[assignment]  # all that it is asked


class _Ending:
    """What the answer is written to where the body is not read."""

    def __init__(self, http: BodyProtocol) -> None:
        self.write, self.is_closing = http.transport.write, http.transport.is_closing
        self.close = http.linger


class _Throwing(asyncio.BufferedProtocol):
    """What the connection speaks while a body comes that nobody reads."""

    def __init__(self, http: BodyProtocol) -> None:
        self._http, self._room = http, memoryview(bytearray(64 * 1024))
        self._timer = http.loop.call_later(LINGER_SECONDS, http.transport.abort)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        pass

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._http.connection_lost(exc)

    def pause_writing(self) -> None:
        self._http.pause_writing()

    def resume_writing(self) -> None:
        self._http.resume_writing()


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
