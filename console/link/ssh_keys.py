"""Which SSH keys want a passphrase that nobody has given yet."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from pathlib import Path

_MAGIC = b"openssh-key-v1\x00"
_LIMIT_BYTES = 64 * 1024


def locked_keys(files: Iterable[str], agent_keys: str) -> list[Path]:
    """Those of the private keys in `files` that are encrypted and that no ssh-agent holds.

    Args:
        files: as `ssh -G` names them; most do not exist.
        agent_keys: what `ssh-add -L` printed.
    """
    return [key for file in files if _is_locked(key := Path(file).expanduser(), agent_keys)]


def _is_locked(file: Path, agent_keys: str) -> bool:
    try:
        with file.open("rb") as opened:
            text = opened.read(_LIMIT_BYTES).decode("ascii", "replace")
    except OSError:
        return False
    if "-----BEGIN OPENSSH PRIVATE KEY-----" not in text:
        return "ENCRYPTED" in text and "PRIVATE KEY-----" in text
    try:
        cipher, public = _read(base64.b64decode("".join(text.splitlines()[1:-1])))
    except (binascii.Error, ValueError):
        return False
    return cipher != b"none" and base64.b64encode(public).decode() not in agent_keys


def _read(key: bytes) -> tuple[bytes, bytes]:
    """Cipher and public key of OpenSSH's own format (PROTOCOL.key in its source)."""
    if not key.startswith(_MAGIC):
        raise ValueError("not an OpenSSH key")
    rest = key[len(_MAGIC) :]
    fields = []
    for skip in (0, 0, 4, 0):  # cipher, name of the KDF, its options and a count, public key
        length = int.from_bytes(rest[:4], "big")
        fields.append(rest[4 : 4 + length])
        rest = rest[4 + length + skip :]
    return fields[0], fields[3]
