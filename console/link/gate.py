"""How many ssh handshakes may be under way.

sshd drops connections at random where too many have not logged in yet (MaxStartups): 4 of 30
at once were lost. Jump hosts get all handshakes of the nodes behind them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

TOTAL = 8
PER_JUMP_HOST = 4
# A host that is off keeps its place no longer than this, so that the dead never hold up the
# living; a handshake that is still under way then is one that nobody answers.
HOLD_SECONDS = 3.0


class HandshakeGate:
    """Shared by all ssh links of a console."""

    def __init__(
        self,
        *,
        total: int = TOTAL,
        per_jump_host: int = PER_JUMP_HOST,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        self._total = asyncio.Semaphore(total)
        self._jumps: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(per_jump_host)
        )
        self._hold_seconds = hold_seconds

    @asynccontextmanager
    async def place(self, jump_host: str | None) -> AsyncIterator[None]:
        """Wait for a place, hold it inside the block, but never longer than `hold_seconds`."""
        async with AsyncExitStack() as stack:
            if jump_host is not None:
                await self._take(stack, self._jumps[jump_host])
            await self._take(stack, self._total)
            yield

    async def _take(self, stack: AsyncExitStack, semaphore: asyncio.Semaphore) -> None:
        await semaphore.acquire()
        release = _once(semaphore.release)
        stack.callback(release)
        asyncio.get_running_loop().call_later(self._hold_seconds, release)


def _once(action: Callable[[], None]) -> Callable[[], None]:
    left = [action]

    def act() -> None:
        if left:
            left.pop()()

    return act
