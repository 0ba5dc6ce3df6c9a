"""Grants: who may fetch which layers from this node, and for how long."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from agent.protocol.problems import ProblemError

GRANTS_LIMIT = 64
SECRET_BYTES = 32


class _Grant(NamedTuple):
    digest: bytes  # of the secret, which itself is not kept
    diff_ids: frozenset[str]
    ends_at: float


class Grants:
    """The grants of one agent: in memory only, so that none outlives it.

    Args:
        clock: seconds that only count, whatever the time of day does.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._grants: list[_Grant] = []

    def mint(self, diff_ids: Collection[str], *, lifetime_seconds: float) -> str:
        """The secret of a new grant.

        Raises:
            ProblemError: `site.too_many`.
        """
        now = self._clock()
        self._grants = [each for each in self._grants if each.ends_at > now]
        if len(self._grants) >= GRANTS_LIMIT:
            soonest = min(each.ends_at for each in self._grants) - now
            raise ProblemError(
                "site.too_many",
                f"{GRANTS_LIMIT} grants are in force",
                params={"limit": GRANTS_LIMIT},
                hint=f"The next one ends in {soonest:.0f} s; a restart of the agent ends all.",
            )
        secret = secrets.token_urlsafe(SECRET_BYTES)
        self._grants.append(_Grant(_digest(secret), frozenset(diff_ids), now + lifetime_seconds))
        return secret

    def granted(self, secret: str) -> frozenset[str] | None:
        """The layers that a secret is good for; None: it is unknown, or its time is over.

        It takes as long for a wrong secret as for a right one.
        """
        digest, now = _digest(secret), self._clock()
        found: frozenset[str] | None = None
        for grant in self._grants:
            if hmac.compare_digest(grant.digest, digest) and grant.ends_at > now:
                found = grant.diff_ids
        return found


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
