"""Seals of values that are withheld: whether one has changed is seen, and not what it is.

A seal is an HMAC-SHA256 of the value and its place with a key that only this node has. Without the
key nothing can be tried against it; one value at two places has two seals.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from pathlib import Path

from agent.durable import write_whole

# In the agent's own folder, which is root's alone.
SEAL_KEY = "snapshot.key"
KEY_BYTES = 32
SEAL_DIGITS = 32  # half of it: enough to tell two values apart
ID_DIGITS = 16

log = logging.getLogger(__name__)


class Seals:
    """Makes seals with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        # What the key is called in a snapshot; the key is no part of it that could be found again.
        self.id = self._digest(b"id")[:ID_DIGITS]

    def __call__(self, workload: str, place: str, value: bytes) -> str:
        """Of the value at a place of a workload; "" and its name for a secret of the node."""
        parts = (b"value", workload.encode(), place.encode(), value)
        return self._digest(*parts)[:SEAL_DIGITS]

    def _digest(self, *parts: bytes) -> str:
        # With their lengths, so that no two lists of parts are the same text.
        text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


def seals_of(path: Path) -> Seals | None:
    """Those of the key in a file, which is made where there is none. Blocks.

    None: it cannot be read or written, so that nothing is sealed.
    """
    try:
        if not path.exists():
            write_whole(path, os.urandom(KEY_BYTES), mode=0o600)
        key = path.read_bytes()
    except OSError as error:
        log.warning("withheld values cannot be compared: %s", error)
        return None
    if len(key) != KEY_BYTES:
        log.warning("withheld values cannot be compared: %s is no key", path)
        return None
    return Seals(key)
