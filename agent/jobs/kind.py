"""A kind of job: what it is called, what it takes, and how it is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from agent.protocol.jobs import Job

if TYPE_CHECKING:
    from agent.jobs.work import Work

R = TypeVar("R", bound=msgspec.Struct)


class SkippedError(Exception):
    """Raised by the work of a job that there is nothing to do for; its text says why."""


class JobKind(ABC, Generic[R]):
    """How one kind of job is done. One object serves all jobs of its kind."""

    name: str
    """For the wire: "image.load"."""
    request_type: type[R]
    """It is kept as JSON, so that an agent that starts again can go on."""
    resumable: bool = False
    """Whether `run` may begin again after the agent ended amid it: it finds what is done."""
    joins: bool = False
    """Whether a request equal to one that is still under way finds that job, whoever asks."""
    at_once: int | None = 1
    """So many jobs of this kind run at a time, the others are queued; None: any number."""
    cancel_seconds: float = 30.0
    """What `run` gets to put things in order once it is cancelled."""

    @abstractmethod
    def subject(self, request: R) -> str:
        """What it works on, for people: "detector:1.4"."""

    def alike(self, request: R) -> str | None:
        """See `Job.alike`."""
        return None

    def late_hint(self, request: R, stage: str) -> str | None:
        """What to do where this stage took longer than it may; None: try it again."""
        return None

    def locks(self, request: R) -> Sequence[str]:
        """Things that nobody else may touch while it runs ("image:<digest>").

        It is queued until it can have them all, and gives them back at its end. `Work.lock`
        takes those that only the work itself finds out.
        """
        return ()

    def identity(self, request: R) -> R:
        """The request without what makes no other job of it: equal ones join, where they do."""
        return request

    def joined(self, request: R, joining: R) -> R:
        """What a job is asked for when `joining`, of the same identity, finds it under way."""
        return request

    @abstractmethod
    async def run(self, work: Work[R]) -> dict[str, str]:
        """Do it; what comes back is the job's result. Name a stage within a minute.

        A cancellation, a deadline that passes and an agent that stops are all an
        asyncio.CancelledError here: put in order what must be, then let it go on. What takes
        longer than `cancel_seconds` is left behind, its locks are given to others.

        Raises:
            ProblemError: why the job failed.
            SkippedError: there is nothing to do.
        """

    def ended(self, job: Job) -> None:
        """A job of this kind has ended, whether it ran or not: give back what is kept for it.

        Also of one that an agent before left, and that does not go on. It must not block.
        """
