"""Grants of one seed: one for all who fetch the same, a new one before it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from agent.protocol.site import SiteGrant
from console.link.site import SiteClient

GRANT_SECONDS = 3600
GRANT_AGAIN_SECONDS = 1800.0


class Granting:
    """Of one seed, for one run."""

    def __init__(self) -> None:
        self._granted: set[str] = set()
        self._grant: tuple[SiteGrant, float] | None = None
        self._granting = asyncio.Lock()

    async def grant(self, seed: SiteClient, digests: Collection[str]) -> SiteGrant:
        """A grant for all of these, a new one where the last one will not do.

        Raises:
            ProblemError: `site.*`, `link.*`.
        """
        async with self._granting:
            names = set(digests)
            if self._grant is not None and names <= self._granted:
                grant, at = self._grant
                if time.monotonic() - at < GRANT_AGAIN_SECONDS:
                    return grant
            grant = await seed.grant(sorted(names), lifetime_seconds=GRANT_SECONDS)
            self._granted, self._grant = names, (grant, time.monotonic())
            return grant

    def forget(self) -> None:
        """The seed knows the last one no more."""
        self._grant = None
