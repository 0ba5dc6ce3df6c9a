"""A stream lives no longer than the token that opened it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.protocol.problems import ProblemError

# How long a stream may outlive its token; a look costs one read of a small table.
LOOK_EVERY_SECONDS = 15.0


class TokenWatch:
    """Looks from time to time whether a token is still good.

    Args:
        check: raises ProblemError `auth.*` once it is not.
        end: called then, once.
    """

    look_every_seconds = LOOK_EVERY_SECONDS

    def __init__(self, check: Callable[[], object], end: Callable[[], object]) -> None:
        self._check, self._end = check, end
        self._watching = asyncio.create_task(self._watch())

    def stop(self) -> None:
        self._watching.cancel()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.look_every_seconds)
            try:
                await asyncio.to_thread(self._check)
            except ProblemError as problem:
                # A database that cannot be read now says nothing about the token.
                if problem.code.startswith("auth."):
                    self._end()
                    return
