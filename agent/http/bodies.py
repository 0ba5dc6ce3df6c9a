"""Bodies as the document describes them: Litestar also takes "1" for a number and 0 for false.

JSON has one kind of number: 1.0 is an integer there, as JSON Schema says. And files as answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, BinaryIO, TypeVar

import msgspec
from litestar import Request
from litestar.response import Stream

from agent.archives.sources import CHUNK_BYTES
from agent.protocol.decoding import from_plain
from agent.protocol.problems import ProblemError

T = TypeVar("T", bound=msgspec.Struct)
BYTES = "application/octet-stream"


async def exactly(request: Request[Any, Any, Any], data: T) -> T:
    """`data`, which Litestar read from the body, read once more without any goodwill.

    Raises:
        ProblemError: `request.invalid`.
    """
    plain = _whole(msgspec.json.decode(await request.body()))
    try:
        return from_plain(plain, type(data))
    except msgspec.ValidationError as error:
        raise ProblemError(
            "request.invalid", f"body: {error}", hint="The API is described at /openapi.json."
        ) from None


def _whole(value: Any) -> Any:
    """Numbers without a fraction as integers; the depth is bounded by the type it was read as."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    return value


def file_stream(file: BinaryIO) -> Stream:
    """An answer with all that is in a file, piece by piece; closes it."""

    async def pieces() -> AsyncGenerator[bytes, None]:
        with file:
            while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield piece

    return Stream(pieces(), media_type=BYTES)
