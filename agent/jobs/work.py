"""What the work of a job has in hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, Literal, TypeVar, cast

import msgspec

from agent.jobs.entry import Entry
from agent.jobs.locks import Held, Locks
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError

R = TypeVar("R", bound=msgspec.Struct)


class Work(Generic[R]):
    """One run of one job. Once the job has ended without it, every method cancels its caller."""

    def __init__(
        self,
        entry: Entry,
        *,
        locks: Locks,
        refusal: Callable[[Held], ProblemError],
        on_release: Callable[[], None],
        set_deadline: Callable[[float], float],
    ) -> None:
        """`set_deadline` takes seconds from now and returns Unix seconds."""
        self._entry = entry
        self._locks = locks
        self._refusal = refusal
        self._on_release = on_release
        self._set_deadline = set_deadline
        self._cancelled = False
        self._left = False

    @property
    def request(self) -> R:
        """What is asked for by now: who joins a job may add to it."""
        self._check()
        return cast("R", self._entry.request)

    @property
    def job(self) -> Job:
        """The job as it is now."""
        return self._entry.job()

    @property
    def runs(self) -> int:
        """How often it began to run, this time as well."""
        return self._entry.stored.runs

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled, whatever for; a thread looks here from time to time."""
        return self._cancelled

    async def stage(
        self,
        name: str,
        deadline_seconds: float,
        *,
        leaves: str | None = None,
        idle: str | None = None,
    ) -> None:
        """Begin a stage; when its deadline passes, the job has failed.

        It is on disk when this returns. Naming the stage that it is in again only moves the
        deadline, so that what is slow but goes on may take its time.

        Args:
            leaves: what is left half-done should the agent end in this stage, for people.
            idle: why nothing goes on in this stage, and what to do, for people.

        Raises:
            ProblemError: `store.*`.
        """
        self._check()
        if name == self._entry.stored.job.stage and leaves == self._entry.stored.leaves:
            self._entry.move_deadline(self._set_deadline(deadline_seconds))
            return
        await self._entry.change(
            lambda job: (
                None
                if self._left or job.state != "running"
                else msgspec.structs.replace(job, stage=name)
            ),
            leaves=leaves,
        )
        self._check()
        self._entry.new_stage(self._set_deadline(deadline_seconds), idle)

    def progress(
        self, done: int, total: int | None = None, unit: Literal["bytes", "items"] = "bytes"
    ) -> None:
        """How far the stage is. Cheap, from any thread; only kept in memory."""
        self._check()
        self._entry.progress(done, total, unit)

    def log(self, text: str) -> None:
        """A line of the job's log. Cheap, from any thread; on disk within a second or so."""
        self._check()
        self._entry.log.add(text)

    @asynccontextmanager
    async def lock(self, *keys: str) -> AsyncIterator[None]:
        """Hold things that nobody else may touch: "image:<digest>", "workload:<name>".

        Raises:
            ProblemError: `job.locked`, naming the holder.
        """
        self._check()
        held = self._locks.take(keys, self._entry.id)
        if held is not None:
            raise self._refusal(held)
        try:
            yield
        finally:
            if not self._left:  # else they were given to others already
                self._locks.release(keys, self._entry.id)
                self._on_release()

    def cancel(self) -> None:
        """Tell threads that it is over; who runs the work cancels its task."""
        self._cancelled = True

    def leave(self) -> None:
        """The job ended without waiting any longer for its work."""
        self._cancelled = self._left = True

    def _check(self) -> None:
        if self._left:
            raise asyncio.CancelledError
