"""Bodies that came packed: Content-Encoding."""

from __future__ import annotations

import zlib
from http import HTTPStatus

from .problems import RequestError, bad, too_long

# zlib's word for both of its formats, by their first bytes.
_EITHER = 32 + zlib.MAX_WBITS
_KNOWN = ("gzip", "x-gzip", "deflate")
AS_IT_IS = ("", "identity")


def unpacked(body: bytes | memoryview, encoding: str, limit_bytes: int) -> bytes:
    """What it was. Blocks; for a thread.

    Args:
        encoding: as the header says it, in lower case.

    Raises:
        RequestError: 415, it is packed otherwise; 413, it is longer; 400, it is damaged.
    """
    if encoding not in _KNOWN:
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "request.encoding",
            f"the body is packed as {encoding[:40]!r}",
            "Send it as it is, or as gzip or deflate.",
        )
    unpacking = zlib.decompressobj(_EITHER)
    try:
        made = unpacking.decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise _damaged(encoding, str(error)) from None
    if len(made) > limit_bytes:
        raise too_long(limit_bytes)
    if not unpacking.eof:
        raise _damaged(encoding, "its end is missing")
    if unpacking.unused_data:
        raise _damaged(encoding, "there is more behind its end")
    return made


def _damaged(encoding: str, why: str) -> RequestError:
    return bad("request.encoding", f"the body is no {encoding}: {why}", "Was it sent whole?")
