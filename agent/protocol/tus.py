"""tus 1.0.0 on the wire, for both sides: names, and the Upload-Metadata header.

What an upload of Roost says of itself in Upload-Metadata (keys, values before base64):

- `diff_id`: "sha256:" and 64 hex digits, of the *uncompressed* layer. `sha256` with the hex
  digits alone is taken, too.
- `size`: the uncompressed size in bytes, decimal. May be left out if nothing is compressed and
  Upload-Length is given.
- `encoder`: "identity" (also if left out), or what compressed it, beginning with "zstd". An
  upload is resumed only by the same encoder: another one makes other bytes.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping

VERSION = "1.0.0"
EXTENSIONS = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "checksum",
    "expiration",
    "termination",
)
CHECKSUM_ALGORITHMS = ("sha256", "sha1")
CONTENT_TYPE = "application/offset+octet-stream"

RESUMABLE = "Tus-Resumable"
UPLOAD_CHECKSUM = "Upload-Checksum"
UPLOAD_DEFER_LENGTH = "Upload-Defer-Length"
UPLOAD_EXPIRES = "Upload-Expires"
UPLOAD_LENGTH = "Upload-Length"
UPLOAD_METADATA = "Upload-Metadata"
UPLOAD_OFFSET = "Upload-Offset"
METHOD_OVERRIDE = "X-HTTP-Method-Override"

# No layer is larger; what a node takes is bounded by its space anyway.
MAX_SIZE_BYTES = 256 * 1024**3

IDENTITY = "identity"
ZSTD = "zstd"


def encode_metadata(values: Mapping[str, str]) -> str:
    """The header's value."""
    return ",".join(
        f"{key} {b64encode(value.encode()).decode()}" if value else key
        for key, value in values.items()
    )


def decode_metadata(header: str) -> dict[str, str]:
    """The header's values by key.

    Raises:
        ValueError: with what is wrong: not base64, not UTF-8, a key twice.
    """
    values: dict[str, str] = {}
    for pair in header.split(","):
        key, _, encoded = pair.strip().partition(" ")
        if not key:
            continue
        if key in values:
            raise ValueError(f"the key {key!r} is there twice")
        try:
            values[key] = b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError(f"the value of {key!r} is not base64 of UTF-8") from None
    return values
