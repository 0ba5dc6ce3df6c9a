"""When to try again: back-off, and what is left alone because a call into it hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from agent.gpu.worker import HungError

Clock = Callable[[], float]

# A thread that hangs costs memory for ever, so one GPU may take no more than these.
THREADS_PER_SUBJECT = 2


class Backoff:
    """Due at once, then after `first` seconds, then twice as long each time, up to `most`."""

    def __init__(self, first: float, most: float, clock: Clock) -> None:
        self._first, self._most, self._clock = first, most, clock
        self._wait = 0.0
        self._due_at = 0.0

    def due(self) -> bool:
        """Whether it is time to try."""
        return self._wait == 0 or self._clock() >= self._due_at

    def failed(self) -> None:
        """The try was in vain: wait longer than before."""
        self._wait = min(self._wait * 2, self._most) if self._wait else self._first
        self._due_at = self._clock() + self._wait

    def reset(self) -> None:
        """All is well."""
        self._wait = 0.0


class _Hold:
    def __init__(self, backoff: Backoff) -> None:
        self.backoff = backoff
        self.reason = ""
        self.threads: list[threading.Thread] = []


class Holds:
    """GPUs (by index) and the driver (None) that a call hangs in.

    What is held is left alone until the hung call comes back, or its back-off has run out.
    """

    def __init__(self, first: float, most: float, clock: Clock) -> None:
        self._first, self._most, self._clock = first, most, clock
        self._holds: dict[int | None, _Hold] = {}

    def add(self, subject: int | None, hung: HungError) -> None:
        """Hold `subject` because of a call that hung."""
        hold = self._holds.get(subject)
        if hold is None:
            hold = _Hold(Backoff(self._first, self._most, self._clock))
            self._holds[subject] = hold
        hold.reason = str(hung)
        hold.threads.append(hung.thread)
        hold.backoff.failed()

    def reason(self, subject: int | None) -> str | None:
        """Why `subject` is to be left alone; None where it may be tried."""
        hold = self._holds.get(subject)
        if hold is None:
            return None
        hold.threads = [thread for thread in hold.threads if thread.is_alive()]
        if not hold.threads:
            del self._holds[subject]
            return None
        if hold.backoff.due() and len(hold.threads) < THREADS_PER_SUBJECT:
            return None
        return hold.reason

    def gpus(self) -> dict[int, str]:
        """All GPUs that are to be left alone, and why."""
        reasons = {gpu: self.reason(gpu) for gpu in list(self._holds) if gpu is not None}
        return {gpu: reason for gpu, reason in reasons.items() if reason is not None}

    def release(self, subject: int | None) -> None:
        """`subject` answered."""
        self._holds.pop(subject, None)
