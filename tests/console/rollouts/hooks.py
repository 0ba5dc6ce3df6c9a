"""A webhook's other side: it keeps what comes, and answers as it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h11
import msgspec


class Delivery(msgspec.Struct):
    headers: dict[str, str]
    body: bytes

    @property
    def notice(self) -> dict[str, object]:
        found: dict[str, object] = msgspec.json.decode(self.body)
        return found


class Hook:
    """`statuses` are its next answers, then 204; a status of 0 ends the connection, -1 hangs."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.statuses: list[int] = []
        self.url = ""

    async def until(self, count: int) -> list[Delivery]:
        """Wait for so many; the test's own time-out is the limit."""
        while len(self.deliveries) < count:  # noqa: ASYNC110 - as good
            await asyncio.sleep(0.01)
        return self.deliveries

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http, headers, body = h11.Connection(h11.SERVER), {}, b""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                headers = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                break
        self.deliveries.append(Delivery(headers, body))
        status = self.statuses.pop(0) if self.statuses else 204
        if status == -1:
            await reader.read()  # until the other side has enough
        elif status:
            answer = h11.Response(status_code=status, headers=[("Content-Length", "0")])
            writer.write((http.send(answer) or b"") + (http.send(h11.EndOfMessage()) or b""))
            await writer.drain()
        writer.close()


@asynccontextmanager
async def hook() -> AsyncIterator[Hook]:
    """One that listens on this machine."""
    found = Hook()
    server = await asyncio.start_server(found._serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield found
    finally:
        server.close()
