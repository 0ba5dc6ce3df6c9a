"""A request's body, within its limits."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from .problems import RequestError


class ClientGoneError(Exception):
    """Nobody waits for the answer."""


async def body_of(request: Request, *, limit_bytes: int, seconds: float) -> bytes:
    """All of it, in memory.

    Raises:
        RequestError: 413, it is longer; it is refused by its stated length, before it is read.
            408, it did not come in time.
        ClientGoneError: the client went away amid it.
    """
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > limit_bytes:
        raise _too_long(limit_bytes)
    try:
        return await asyncio.wait_for(_read(request, limit_bytes), seconds)
    except (asyncio.TimeoutError, TimeoutError):
        raise RequestError(
            HTTPStatus.REQUEST_TIMEOUT,
            "request.slow",
            f"the body did not come within {seconds:g} s",
            "Is the link slow? DETECTOR_BODY_SECONDS says how long it may take.",
        ) from None
    except ClientDisconnect:
        raise ClientGoneError from None


async def _read(request: Request, limit_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit_bytes:
            raise _too_long(limit_bytes)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_long(limit_bytes: int) -> RequestError:
    return RequestError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "request.too_large",
        f"the body is longer than {limit_bytes} bytes",
        "Send fewer or smaller images at a time, or set DETECTOR_BODY_LIMIT_BYTES.",
    )
