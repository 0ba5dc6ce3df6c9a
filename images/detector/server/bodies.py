"""A request's body, within its limits; an answer's, as it lies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from .direct import EXTENSION, BodyReader
from .problems import RequestError, too_long

Body = bytes | memoryview


# Below, one more copy is cheaper than one more packet.
WORTH_A_SEND_BYTES = 64 * 1024


class ClientGoneError(Exception):
    """Nobody waits for the answer."""


async def body_of(request: Request, *, limit_bytes: int, seconds: float, align_at: int = 0) -> Body:
    """All of it, in memory.

    Args:
        align_at: where in it begins what is computed with.

    Raises:
        RequestError: 413, it is longer; it is refused by its stated length, before it is read.
            408, it did not come in time.
        ClientGoneError: the client went away amid it.
    """
    said = request.headers.get("content-length", "")
    reader: BodyReader | None = request.scope.get("extensions", {}).get(EXTENSION)
    if said.isdecimal() and int(said) > limit_bytes:
        if reader is not None:
            reader.refuse()
        raise too_long(limit_bytes)
    try:
        if reader is not None:
            return await reader.read(int(said), align_at=align_at, seconds=seconds)
        return await asyncio.wait_for(_read(request, limit_bytes), seconds)
    except (asyncio.TimeoutError, TimeoutError):
        raise RequestError(
            HTTPStatus.REQUEST_TIMEOUT,
            "request.slow",
            f"the body did not come within {seconds:g} s",
            "Is the link slow? DETECTOR_BODY_SECONDS says how long it may take.",
        ) from None
    except (ClientDisconnect, ConnectionError):
        raise ClientGoneError from None


async def _read(request: Request, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit_bytes:
            raise too_long(limit_bytes)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


class InParts:
    """An answer of several parts, which only the network puts together, where that is less work."""

    status_code = 200

    def __init__(self, parts: Sequence[Body], headers: Mapping[str, str]) -> None:
        length = sum(len(part) for part in parts)
        self._parts = parts if length > WORTH_A_SEND_BYTES else [b"".join(parts)]
        said = dict(headers) | {"content-length": str(length)}
        self._headers = [(name.encode(), value.encode()) for name, value in said.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"status": self.status_code, "headers": self._headers}
        await send({"type": "http.response.start", **start})
        for number, part in enumerate(self._parts, 1):
            more = number < len(self._parts)
            await send({"type": "http.response.body", "body": part, "more_body": more})
