"""Bodies as the document describes them: Litestar also takes "1" for a number and 0 for false.

JSON has one kind of number: 1.0 is an integer there, as JSON Schema says.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from litestar import Request

from agent.protocol.decoding import from_plain
from agent.protocol.problems import ProblemError

T = TypeVar("T", bound=msgspec.Struct)


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
