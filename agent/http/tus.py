"""tus headers: what a request says, and what every answer says."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from email.utils import formatdate
from typing import Any

from litestar import Request, Response

from agent.http.problems import answer_problem
from agent.images.intake import Checksum
from agent.images.uploads import UploadState
from agent.protocol import tus
from agent.protocol.problems import ProblemError

METADATA_LIMIT = 4096
TusRequest = Request[Any, Any, Any]


def check_version(request: TusRequest) -> None:
    """Raises ProblemError `upload.version` unless the caller speaks tus 1.0.0."""
    said = request.headers.get(tus.RESUMABLE)
    if said != tus.VERSION:
        raise ProblemError(
            "upload.version",
            f"{tus.RESUMABLE} is missing" if said is None else f"tus {said[:20]} is not known here",
            hint=f"Send the header {tus.RESUMABLE}: {tus.VERSION}.",
        )


def count(request: TusRequest, header: str) -> int | None:
    """A header that counts bytes. Raises ProblemError `upload.header`."""
    text = request.headers.get(header)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise _unfit(f"{header} is {text[:40]!r}, not a count of bytes")
    return int(text)


def needed_count(request: TusRequest, header: str) -> int:
    """As `count`, and it must be there."""
    found = count(request, header)
    if found is None:
        raise _unfit(f"{header} is missing")
    return found


def new_length(request: TusRequest) -> int | None:
    """Of an upload that begins: the length, or None if it shall follow later."""
    length = count(request, tus.UPLOAD_LENGTH)
    deferred = request.headers.get(tus.UPLOAD_DEFER_LENGTH)
    if deferred not in (None, "1") or (length is None) == (deferred is None):
        raise _unfit(f"either {tus.UPLOAD_LENGTH}, or {tus.UPLOAD_DEFER_LENGTH}: 1")
    return length


def metadata(request: TusRequest) -> tuple[dict[str, str], str]:
    """Upload-Metadata, by key and as it came. Raises ProblemError `upload.header`."""
    header = request.headers.get(tus.UPLOAD_METADATA, "")
    if len(header) > METADATA_LIMIT:
        raise _unfit(f"{tus.UPLOAD_METADATA} is over {METADATA_LIMIT} bytes")
    try:
        return tus.decode_metadata(header), header
    except ValueError as error:
        raise _unfit(f"{tus.UPLOAD_METADATA}: {error}") from None


def checksum(request: TusRequest) -> Checksum | None:
    """Upload-Checksum. Raises ProblemError `upload.header`."""
    header = request.headers.get(tus.UPLOAD_CHECKSUM)
    if header is None:
        return None
    algorithm, _, encoded = header.partition(" ")
    if algorithm not in tus.CHECKSUM_ALGORITHMS:
        raise _unfit(f"checksums are made by {' or '.join(tus.CHECKSUM_ALGORITHMS)} here")
    try:
        digest = b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise _unfit(f"{tus.UPLOAD_CHECKSUM} is not base64") from None
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise _unfit(f"{tus.UPLOAD_CHECKSUM} has not the length of a {algorithm}")
    return Checksum(algorithm, digest)


def sends_bytes(request: TusRequest) -> bool:
    """Whether the body is bytes of an upload."""
    kind = request.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() == tus.CONTENT_TYPE


def need_bytes(request: TusRequest) -> None:
    """Raises ProblemError `request.media_type` unless the body is bytes of an upload."""
    if not sends_bytes(request):
        raise ProblemError(
            "request.media_type",
            "the bytes of an upload have a media type of their own",
            hint=f"Send the header Content-Type: {tus.CONTENT_TYPE}.",
        )


def capabilities() -> dict[str, str]:
    """What OPTIONS answers."""
    return {
        tus.RESUMABLE: tus.VERSION,
        "Tus-Version": tus.VERSION,
        "Tus-Extension": ",".join(tus.EXTENSIONS),
        "Tus-Max-Size": str(tus.MAX_SIZE_BYTES),
        "Tus-Checksum-Algorithm": ",".join(tus.CHECKSUM_ALGORITHMS),
    }


def state_headers(state: UploadState) -> dict[str, str]:
    """Where an upload is."""
    return {
        tus.RESUMABLE: tus.VERSION,
        tus.UPLOAD_OFFSET: str(state.offset),
        tus.UPLOAD_EXPIRES: formatdate(state.expires_at, usegmt=True),
    }


def answer_tus_problem(request: TusRequest, error: ProblemError) -> Response[bytes]:
    """A problem as tus clients like it. The connection ends: the body may not have been read."""
    headers = {tus.RESUMABLE: tus.VERSION}
    if request.method in {"PATCH", "POST"}:
        headers["Connection"] = "close"
    if error.code == "upload.version":
        headers["Tus-Version"] = tus.VERSION
    if error.code == "upload.offset":
        headers[tus.UPLOAD_OFFSET] = str(error.params["offset"])
    if error.code == "upload.locked":
        headers["Retry-After"] = "1"
    return answer_problem(request, error, headers)


def _unfit(what: str) -> ProblemError:
    return ProblemError("upload.header", what, hint="See tus.io, protocol 1.0.0.")
