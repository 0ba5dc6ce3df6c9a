"""What an upload says of itself, and the record that is kept of it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Annotated

import msgspec

from agent.images.verifier import Verifier
from agent.protocol import tus
from agent.protocol.digest import Digest
from agent.protocol.problems import ProblemError

ENCODER_LIMIT = 100
DIFF_ID = re.compile(r"(sha256:)?(?P<hex>[0-9a-f]{64})")
ZSTD = re.compile(r"zstd\b")
ID = re.compile(r"[0-9a-f]{32}")
NEEDED = (
    'Upload-Metadata needs diff_id ("sha256:" and 64 hex digits, of the uncompressed layer) and,'
    " for a compressed one or without Upload-Length, size (the uncompressed bytes) and encoder"
    ' ("identity", or beginning with "zstd").'
)

Count = Annotated[int, msgspec.Meta(ge=0)]


class UploadRecord(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One upload, as it is kept on disk; its offset is kept apart."""

    id: str
    diff_id: Digest
    size_bytes: Count  # of the uncompressed layer
    encoder: str
    length_bytes: Count | None = None  # of what is sent; None: not known yet
    metadata: str = ""  # the header as it came, for HEAD

    @property
    def compressed(self) -> bool:
        return self.encoder != tus.IDENTITY

    def verifier(self) -> Verifier:
        """One that has seen nothing yet."""
        return Verifier(self.diff_id, self.size_bytes, compressed=self.compressed)

    @property
    def limit_bytes(self) -> int:
        """The most that may be sent: zstd makes of the worst input hardly more than it was."""
        allowance = self.size_bytes // 128 + 65536 if self.compressed else 0
        return min(tus.MAX_SIZE_BYTES, self.size_bytes + allowance)

    @property
    def end_bytes(self) -> int:
        """No byte may be sent at or after this."""
        return self.limit_bytes if self.length_bytes is None else self.length_bytes


def new_record(metadata: Mapping[str, str], *, length: int | None, header: str) -> UploadRecord:
    """The record of an upload that shall begin, from its metadata and Upload-Length.

    Raises:
        ProblemError: `upload.metadata`, `upload.too_large`.
    """
    named = DIFF_ID.fullmatch(metadata.get("diff_id") or metadata.get("sha256") or "")
    encoder = metadata.get("encoder") or tus.IDENTITY
    size = _size(metadata.get("size"))
    if named is None:
        raise _refused("diff_id is missing or not a SHA-256")
    if len(encoder) > ENCODER_LIMIT or not (encoder == tus.IDENTITY or ZSTD.match(encoder)):
        raise _refused(f"encoder {encoder[:ENCODER_LIMIT]!r} is not known")
    if encoder == tus.IDENTITY:
        size = length if size is None else size
        if length is None:
            length = size
        if length != size:
            raise _refused(f"size is {size}, Upload-Length is {length}, and nothing is compressed")
    if size is None:
        raise _refused("size is missing")
    record = UploadRecord(
        id=secrets.token_hex(16),
        diff_id=f"sha256:{named['hex']}",
        size_bytes=size,
        encoder=encoder,
        length_bytes=length,
        metadata=header,
    )
    check_length(record, size if length is None else length)
    return record


def check_length(record: UploadRecord, length: int) -> None:
    """Raises ProblemError `upload.too_large` for a length that this upload may not have."""
    if length > record.limit_bytes:
        raise ProblemError(
            "upload.too_large",
            f"{length} bytes are more than the {record.limit_bytes} that this layer may take",
            params={"length_bytes": length, "limit_bytes": record.limit_bytes},
            hint="Check Upload-Length and the size in Upload-Metadata.",
        )


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise _refused(f"size {text[:40]!r} is not a count of bytes")
    return int(text)


def _refused(what: str) -> ProblemError:
    return ProblemError("upload.metadata", f"the upload does not fit: {what}", hint=NEEDED)
