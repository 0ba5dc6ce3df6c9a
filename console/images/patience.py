"""Trying again while a link is bad, until nothing has moved for too long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from agent.protocol.problems import ProblemError
from console.fleet.back_off import REFUSALS, BackOff

# How long a link may bring nothing through before this console gives up; the job waits longer.
GIVE_UP_SECONDS = 15 * 60.0
# Somebody looks on: a link that is back must not stay unused for a minute.
LONGEST_PAUSE_SECONDS = 15.0
# Most cuts are over at once, and a transfer of minutes should not stand still for one.
FIRST_PAUSE_SECONDS = 0.25
# An agent that is away, or has just come back.
LINK_TROUBLE = ("link.", "ssh.", "node.stopping", "node.not_ready")

T = TypeVar("T")


class Patience:
    """For one line of requests to one node.

    Args:
        again: how the codes of problems begin after which another try may help.
        told: hears why it pauses, and None when it goes on.
    """

    def __init__(
        self,
        *,
        give_up_seconds: float = GIVE_UP_SECONDS,
        random: Random,
        again: tuple[str, ...] = LINK_TROUBLE,
        told: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self._give_up_seconds = give_up_seconds
        self._back_off = BackOff(random, first_seconds=FIRST_PAUSE_SECONDS)
        self._again, self._told = again, told
        self._failing_since: float | None = None

    def moved(self, *, by_us: bool = True) -> None:
        """Something came through. `by_us`: what goes wrong next is a new trouble."""
        self._failing_since = None
        if by_us:
            self._back_off.reset()
            self._told(None)

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """What `question` answers, however often the link is cut meanwhile. Raises as `pause`.

        An answer alone is no reason for more patience: that is for the caller to say.
        """
        while True:
            try:
                answer = await question()
            except ProblemError as problem:
                await self.pause(problem)
            else:
                self._told(None)
                return answer

    async def pause(self, problem: ProblemError) -> None:
        """Wait before the next try.

        Raises:
            ProblemError: this one, where another try would change nothing or it is too late.
        """
        if problem.code in REFUSALS or not problem.code.startswith(self._again):
            raise problem
        # Not since something moved: one upload may take hours, and nobody is asked meanwhile.
        now = time.monotonic()
        self._failing_since = self._failing_since or now
        failing = now - self._failing_since
        if failing > self._give_up_seconds:
            problem.hint = (
                f"Nothing came through for {failing:.0f} s, so this ends. The node keeps what it"
                " has: run the same command again when the link is better."
            )
            raise problem
        self._told(problem.detail)
        await asyncio.sleep(min(self._back_off.after(problem.code), LONGEST_PAUSE_SECONDS))
