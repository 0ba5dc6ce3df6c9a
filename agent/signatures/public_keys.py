"""Public keys: one line each, as OpenSSH writes them, and what they say of a signature.

`awk '{print $2}' FILE.pub | base64 -d | sha256sum` gives the fingerprint without us.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import NamedTuple

from agent.protocol.problems import ProblemError

KIND = b"ssh-ed25519"
RAW_BYTES = 32
LINE_LIMIT = 1000
FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")
# So that a signature for anything else is never one of a manifest.
CONTEXT = b"roost manifest 1\n"


class PublicKey(NamedTuple):
    """An ed25519 key: its 32 bytes, and what its owner calls it."""

    raw: bytes
    name: str

    @property
    def fingerprint(self) -> str:
        """`sha256:<64 hex>` of the key as OpenSSH encodes it."""
        return f"sha256:{hashlib.sha256(self._blob()).hexdigest()}"

    @property
    def line(self) -> str:
        """`ssh-ed25519 BASE64 NAME`."""
        text = f"{KIND.decode()} {base64.b64encode(self._blob()).decode()}"
        return f"{text} {self.name}" if self.name else text

    def _blob(self) -> bytes:
        parts = (KIND, self.raw)
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def parse_public_key(line: str) -> PublicKey:
    """The key in a line. Raises ProblemError `key.invalid`."""
    if "PRIVATE" in line:
        raise _invalid("it is a private key, which stays where it is")
    fields = line.strip().split(None, 2)
    if len(line) > LINE_LIMIT or "\n" in line.strip() or len(fields) < 2:
        raise _invalid("it is not one line `ssh-ed25519 BASE64 NAME`")
    if fields[0] != KIND.decode():
        raise _invalid(f"it is of the kind {fields[0][:40]!r}, not ssh-ed25519")
    try:
        blob = base64.b64decode(fields[1], validate=True)
    except (binascii.Error, ValueError):
        raise _invalid("its base64 is damaged") from None
    name = fields[2] if len(fields) > 2 else ""
    key = PublicKey(blob[-RAW_BYTES:], "".join(c if c.isprintable() else "?" for c in name)[:200])
    if key._blob() != blob:  # noqa: SLF001 - its own kind
        raise _invalid("it has not the bytes of an ed25519 key")
    return key


def signs(key: PublicKey, manifest: bytes, signature: bytes) -> bool:
    """Whether the signature is this key's for the manifest."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, CONTEXT + manifest)
    except (InvalidSignature, ValueError):
        return False
    return True


def _invalid(why: str) -> ProblemError:
    return ProblemError(
        "key.invalid",
        f"that is no public key of Roost: {why}",
        hint="Give the .pub file, or its line, that `roost key make` wrote.",
    )
