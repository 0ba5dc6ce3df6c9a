"""Who vouches for content: signed manifests, and the keys that a node trusts."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

# A manifest has a few hundred bytes for each layer and image.
MANIFEST_LIMIT_BYTES = 16 * 1024 * 1024
SIGNATURE_SUFFIX = ".sig"  # of the file beside an archive: a SignedManifest as JSON

KeyText = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class SignedManifest(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A manifest as it was signed, and by which key. It says what content it is about.

    The signature is ed25519 over `roost manifest 1`, a newline and the manifest.
    """

    manifest: bytes
    key: KeyText  # the public key's line; whoever checks looks it up among those it trusts
    signature: bytes


class TrustedKey(msgspec.Struct, kw_only=True):
    """A public key as a node lists it: `GET /v1/keys`."""

    fingerprint: str | None  # `sha256:<64 hex>` of the key as OpenSSH encodes it
    name: str  # what stands behind the key in its line
    state: Literal["trusted", "revoked", "unreadable"]
    file: str  # in the folder of trusted keys
    reason: str | None = None  # why it is unreadable


class TrustRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/keys/trust`: `key` is the line of a public key."""

    key: KeyText


class RevokeRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/keys/revoke`: `key` is a line, a fingerprint, or the start of one."""

    key: KeyText
