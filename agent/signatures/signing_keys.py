"""Private keys: made once, kept in a file that only its owner can read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from agent.protocol.problems import ProblemError
from agent.protocol.signatures import SignedManifest
from agent.signatures.public_keys import CONTEXT, PublicKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PUBLIC_SUFFIX = ".pub"
FILE_LIMIT_BYTES = 16 * 1024


class SigningKey:
    """A private key in memory."""

    def __init__(self, private: Ed25519PrivateKey, name: str) -> None:
        self._private = private
        self.public = PublicKey(private.public_key().public_bytes_raw(), name)

    def sign(self, manifest: bytes) -> SignedManifest:
        """The manifest, signed."""
        signature = self._private.sign(CONTEXT + manifest)
        return SignedManifest(manifest=manifest, key=self.public.line, signature=signature)


def make_key(file: Path, *, name: str) -> SigningKey:
    """A new key in `file` (PEM, PKCS 8, 0600), its public line in `file`.pub.

    Raises:
        ProblemError: `key.exists`, `key.unwritable`.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    key = SigningKey(private, name)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = file.with_name(file.name + PUBLIC_SUFFIX)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        _write_new(public, f"{key.public.line}\n".encode(), 0o644)
        try:
            _write_new(file, pem, 0o600)
        except BaseException:
            public.unlink()
            raise
    except FileExistsError as error:
        raise ProblemError(
            "key.exists",
            f"{error.filename} is there already",
            params={"file": str(error.filename)},
            hint="Nodes may trust it: keep it, and name another file with -o.",
        ) from None
    except OSError as error:
        raise ProblemError(
            "key.unwritable",
            f"{file}: {error.strerror}",
            params={"file": str(file)},
            hint="Name a file in a folder of yours with -o.",
        ) from None
    return key


def read_key(file: Path) -> SigningKey:
    """The private key in a file; its name is that of the public line beside it.

    Raises:
        ProblemError: `key.unreadable`, `key.open`: others may read it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            pem = opened.read(FILE_LIMIT_BYTES)
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from None
    if stat.S_IMODE(mode) & 0o077:
        raise ProblemError(
            "key.open",
            f"{file} can be read by others (mode {stat.S_IMODE(mode):04o})",
            params={"file": str(file)},
            hint=f"If nobody has copied it: chmod 600 {file}. Else make another key.",
        )
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unreadable(file, "it holds no private key that can be read") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise _unreadable(file, "it is not an ed25519 key")
    return SigningKey(private, _name_of(file))


def _name_of(file: Path) -> str:
    try:
        line = file.with_name(file.name + PUBLIC_SUFFIX).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    fields = line.split(None, 2)
    return fields[2].strip()[:200] if len(fields) > 2 else ""


def _write_new(file: Path, data: bytes, mode: int) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.fchmod(handle, mode)
        with os.fdopen(handle, "wb", closefd=False) as opened:
            opened.write(data)
        os.fsync(handle)
    except BaseException:
        file.unlink()  # half a key is none
        raise
    finally:
        os.close(handle)


def _unreadable(file: Path, why: str) -> ProblemError:
    return ProblemError(
        "key.unreadable",
        f"{file}: {why}",
        params={"file": str(file)},
        hint="Make a key with `roost key make`, or name the right file with --key.",
    )
