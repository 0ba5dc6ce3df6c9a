"""One run of one job, from "running" on disk to how it ended on disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Generic, Literal, TypeVar, cast

import msgspec

from agent.jobs.entry import Entry
from agent.jobs.kind import JobKind, SkippedError
from agent.jobs.locks import Held, Locks
from agent.jobs.recovery import left_behind
from agent.jobs.work import Work
from agent.protocol.jobs import Job
from agent.protocol.problems import Problem, ProblemError
from agent.rules.service import LOG_HINT

R = TypeVar("R", bound=msgspec.Struct)
Why = Literal["cancel", "deadline", "stop"]

# Until the work names its first stage.
FIRST_STAGE = "starting"
FIRST_STAGE_SECONDS = 60.0
FLUSH_SECONDS = 1.0
LONG_SECONDS = 2 * 3600.0  # told in hours
# How long until a state that could not be written is tried again.
WRITE_AGAIN_SECONDS = 5.0

log = logging.getLogger(__name__)


class Run(Generic[R]):
    """Runs the work of a job and sees to its end, whatever the work does."""

    def __init__(
        self,
        entry: Entry,
        kind: JobKind[R],
        *,
        locks: Locks,
        refusal: Callable[[Held], ProblemError],
        on_release: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.entry = entry
        self.kind = kind
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._work: Work[R] = Work(
            entry,
            locks=locks,
            refusal=refusal,
            on_release=on_release,
            set_deadline=self._set_deadline,
        )
        self._task: asyncio.Task[dict[str, str]] | None = None
        self._why: Why | None = None
        self._reason: str | None = None
        self._given_up: asyncio.Future[None] = self._loop.create_future()
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_seconds = FIRST_STAGE_SECONDS
        self._grace: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Until the job's end is on disk; or nothing is written where it goes on at next start."""
        try:
            await self._write(self._begun, runs=self.entry.stored.runs + 1)
            if self._why is None:
                await self._do()
            self._work.leave()
            await self.entry.log.flush()
            make = self._outcome()
            if make is not None:
                await self._write(make)
            await self.entry.log.flush()  # again: what a full disk would not take before
        finally:
            self._work.leave()
            for timer in (self._deadline, self._grace):
                if timer is not None:
                    timer.cancel()

    def end(self, why: Why, reason: str | None = None) -> bool:
        """Cancel the work, which gets `kind.cancel_seconds` to let go.

        The first `why` counts: says whether it was this one.
        """
        if self._why is not None or (self._task is not None and self._task.done()):
            return False
        self._why, self._reason = why, reason
        self._work.cancel()
        if self._task is not None:
            self._task.cancel()
            self._grace = self._loop.call_later(self.kind.cancel_seconds, self._give_up)
        return True

    async def _do(self) -> None:
        task = asyncio.create_task(
            self.kind.run(self._work), name=f"job {self.entry.id} {self.kind.name}"
        )
        self._task = task
        task.add_done_callback(_seen)
        self.entry.new_stage(self._set_deadline(FIRST_STAGE_SECONDS))
        either: set[asyncio.Future[Any]] = {task, self._given_up}
        while not (task.done() or self._given_up.done()):
            await asyncio.wait(either, timeout=FLUSH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            await self.entry.log.flush()
        if not task.done():
            self._work.leave()
            task.cancel()  # once more, in case that the first one was lost

    def _give_up(self) -> None:
        if not self._given_up.done():
            self._given_up.set_result(None)

    def _set_deadline(self, seconds: float) -> float:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline_seconds = seconds
        self._deadline = self._loop.call_later(seconds, self.end, "deadline")
        return self._clock() + seconds

    async def _write(self, make: Callable[[Job], Job | None], **stored: object) -> None:
        """Write until it is written: a disk that is full now has space again some day."""
        while True:
            try:
                await self.entry.change(make, **stored)
            except ProblemError as problem:
                log.warning("job %s: %s", self.entry.id, problem.detail)
                self.entry.waits = f"its state cannot be written down: {problem.detail}"
                await asyncio.sleep(WRITE_AGAIN_SECONDS)
            else:
                self.entry.waits = None
                self.entry.queued_again = False
                return

    def _begun(self, job: Job) -> Job:
        return msgspec.structs.replace(
            job, state="running", stage=FIRST_STAGE, started_at=self._clock(), reason=None
        )

    def _outcome(self) -> Callable[[Job], Job | None] | None:
        """What to make of the job now; None: it goes on when the agent starts again."""
        task = self._task
        if task is None:
            return self._not_begun()
        if not task.done():
            return self._left_behind()
        if task.cancelled():
            return self._ended_on_request()
        error = task.exception()
        if error is None:
            if self._why == "deadline":
                return self._too_late()
            result = task.result()
            return self._as("succeeded", result=result, reason=None)
        if self._why is not None:
            return self._ended_on_request(error)
        if isinstance(error, SkippedError):
            return self._as("skipped", reason=str(error))
        return self._as("failed", problem=self._problem(error))

    def _not_begun(self) -> Callable[[Job], Job | None]:
        if self._why == "cancel":
            return self._as("cancelled", reason=self._reason)
        return lambda job: msgspec.structs.replace(
            job, state="queued", stage=None, started_at=None, cancelling=False
        )

    def _left_behind(self) -> Callable[[Job], Job | None] | None:
        text = (
            f"it had not ended {self.kind.cancel_seconds:g} s after it was cancelled,"
            " and may still be at work"
        )
        log.error("job %s (%s): %s", self.entry.id, self.kind.name, text)
        return self._ended_on_request(note=text)

    def _ended_on_request(
        self, error: BaseException | None = None, *, note: str | None = None
    ) -> Callable[[Job], Job | None] | None:
        """It was cancelled; `error` is what went wrong on its way out."""
        problem = None if error is None else self._problem(error)
        if self._why == "cancel":
            reason = f"{self._reason}; {note}" if note else self._reason
            return self._as("cancelled", problem=problem, reason=reason)
        if self._why == "deadline":
            return self._too_late(note)
        if self._why == "stop":
            return None if self.kind.resumable else self._interrupted(note)
        return self._as("failed", problem=self._problem(asyncio.CancelledError("by itself")))

    def _too_late(self, note: str | None = None) -> Callable[[Job], Job | None]:
        stage, request = self.entry.stored.job.stage, self.entry.request
        hint = None
        if request is not None and stage is not None:
            hint = self.kind.late_hint(cast("R", request), stage)
        problem = ProblemError(
            "job.deadline",
            f"stage {stage!r} took longer than {_span(self._deadline_seconds)}"
            + (f"; {note}" if note else ""),
            params={"job": self.entry.id, "stage": stage, "seconds": self._deadline_seconds},
            hint="Its log says how far it came. "
            + (hint or f"Then try it again: roost job retry {self.entry.id}"),
        )
        return self._as("failed", problem=problem.problem())

    def _interrupted(self, note: str | None) -> Callable[[Job], Job | None]:
        reason = left_behind(self.entry.stored)
        return self._as("interrupted", reason=f"{reason}; {note}" if note else reason)

    def _problem(self, error: BaseException) -> Problem:
        if isinstance(error, ProblemError):
            return error.problem()
        log.error("job %s (%s) failed", self.entry.id, self.kind.name, exc_info=error)
        return ProblemError(
            "node.internal",
            f"{type(error).__name__} in {self.kind.name}, stage {self.entry.stored.job.stage}",
            params={"job": self.entry.id},
            hint=f"{LOG_HINT}.",
        ).problem()

    def _as(self, state: str, **changes: object) -> Callable[[Job], Job | None]:
        def make(job: Job) -> Job:
            now = self.entry.job()
            return msgspec.structs.replace(
                job,
                state=state,
                ended_at=self._clock(),
                done=now.done,
                total=now.total,
                unit=now.unit,
                **{"cancelling": False, **changes},
            )

        return make


def _span(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < LONG_SECONDS else f"{seconds / 3600:g} h"


def _seen(task: asyncio.Task[dict[str, str]]) -> None:
    """Have asyncio not complain of an exception that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
