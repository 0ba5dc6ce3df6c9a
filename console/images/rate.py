"""How fast bytes may go, and how fast they do."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable

from agent.protocol.problems import ProblemError
from console.images.quiet import Quiet

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kmg]i?)?b?", re.IGNORECASE)

# A rate is told over so many seconds: long enough to be calm, short enough to be now.
WINDOW_SECONDS = 10.0
# What goes in the first moment only fills buffers on the way.
FIRST_SECONDS = 1.0
# Larger pieces would be on their way, and lost in a cut, for longer than is needed.
PIECE_BYTES = 256 * 1024
# Smaller ones are more overhead than bytes.
LEAST_PIECE_BYTES = 1024
# A clock that was set, or a machine that slept, must not make it too late.
QUIET_LOOK_SECONDS = 60.0
Clock = Callable[[], float]


def parse_bytes(text: str) -> int:
    """A number of bytes: `2MB`, `512KiB`, `1.5G`, `3900MiB`; K, M, G are powers of 1000.

    Raises:
        ProblemError: `console.usage`.
    """
    match = _AMOUNT.fullmatch(text.strip())
    size = 0 if match is None else int(float(match[1]) * UNITS[(match[2] or "").lower()])
    if size < 1:
        raise ProblemError(
            "console.usage",
            f"{text!r} is not a number of bytes",
            hint="Write it as 800KB, 2MB or 1GiB.",
        )
    return size


def parse_rate(text: str) -> int:
    """Bytes a second: `2MB/s`, or without the `/s`; bits are written out: `20Mbit/s`.

    Raises:
        ProblemError: `console.usage`.
    """
    amount = re.sub(r"/s$", "", text.strip(), flags=re.IGNORECASE)
    bits = re.fullmatch(r"(.*)bit", amount, flags=re.IGNORECASE)
    try:
        return max(1, parse_bytes(bits[1]) // 8) if bits else parse_bytes(amount)
    except ProblemError:
        raise ProblemError(
            "console.usage",
            f"{text!r} is not a rate",
            hint="Write it as 2MB/s, 500KB/s or 20Mbit/s.",
        ) from None


class RateLimit:
    """At most so many bytes a second, over everything that asks here; None: no limit.

    What was not used is lost after a second, so that a pause is not followed by a flood.
    """

    def __init__(
        self,
        bytes_per_second: int | None,
        *,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = bytes_per_second
        self._clock, self._sleep = clock, sleep
        self._free_at = clock()

    @property
    def piece_bytes(self) -> int:
        """How large a piece to ask for: four a second, so that a slow link stays even."""
        if self._rate is None:
            return PIECE_BYTES
        return max(LEAST_PIECE_BYTES, min(PIECE_BYTES, self._rate // 4))

    async def take(self, count: int) -> None:
        """Wait until `count` bytes may go."""
        if self._rate is None:
            return
        now = self._clock()
        begin = max(self._free_at, now - 1.0)
        self._free_at = begin + count / self._rate
        if self._free_at > now:
            await self._sleep(self._free_at - now)


class Allowance:
    """What one node may be sent: its share of the rate, a budget of its own, and when.

    `budget_bytes` None: no budget. `quiet` None: at any hour.
    """

    def __init__(
        self, limit: RateLimit, budget_bytes: int | None = None, quiet: Quiet | None = None
    ) -> None:
        self._limit, self.quiet = limit, quiet
        self.budget_bytes = budget_bytes
        self._left = budget_bytes

    @property
    def used_up(self) -> bool:
        """Whether no byte may go any more."""
        return self._left == 0

    @property
    def stopped(self) -> bool:
        """Whether no byte may go now."""
        return self.used_up or (self.quiet is not None and self.quiet.seconds_left > 0)

    async def until_loud(self, told: Callable[[str | None], None] = lambda _: None) -> bool:
        """Wait until quiet hours are over; whether it had to.

        Args:
            told: hears what is waited for, and None when it is over.
        """
        waited = False
        while self.quiet is not None and (left := self.quiet.seconds_left):
            waited = True
            told(self.quiet.text)
            await asyncio.sleep(min(left, QUIET_LOOK_SECONDS))
        if waited:
            told(None)
        return waited

    @property
    def piece_bytes(self) -> int:
        """How many bytes to take next, at the most; 0 where none may go now."""
        if self.stopped:
            return 0
        piece = self._limit.piece_bytes
        return piece if self._left is None else min(piece, self._left)

    async def take(self, count: int) -> None:
        """Wait until `count` bytes may go; not more than `piece_bytes`."""
        if self._left is not None:
            self._left -= count
        await self._limit.take(count)


class RateMeter:
    """Bytes a second over the last `WINDOW_SECONDS`."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._counts: deque[tuple[float, int]] = deque()

    def add(self, count: int) -> None:
        """`count` bytes have gone."""
        now = self._clock()
        if self._began is None:
            self._began = now
        self._counts.append((now, count))
        self._forget(now)

    @property
    def bytes_per_second(self) -> float:
        """0 where nothing has gone."""
        now = self._clock()
        self._forget(now)
        if self._began is None:
            return 0.0
        span = max(FIRST_SECONDS, min(WINDOW_SECONDS, now - self._began))
        return sum(count for _, count in self._counts) / span

    def _forget(self, now: float) -> None:
        while self._counts and self._counts[0][0] < now - WINDOW_SECONDS:
            self._counts.popleft()
