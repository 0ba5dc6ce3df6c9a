"""One job as the agent has it in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from agent.jobs.finishing import finish
from agent.jobs.job_log import JobLog
from agent.jobs.job_store import JobStore, StoredJob
from agent.protocol.jobs import ENDED, Job

Record = dict[str, Any]


class Entry:
    """A job's last state that is on disk, and beside it what is only known here: progress."""

    def __init__(
        self,
        stored: StoredJob,
        *,
        store: JobStore,
        clock: Callable[[], float],
        on_change: Callable[[], None],
    ) -> None:
        self.stored = stored
        self.log = JobLog(store, stored.job.id, clock)
        self.content = b""  # digest of kind and identity, while it is under way
        self.request: msgspec.Struct | None = None  # while it is under way
        self.waits: str | None = None  # why it does not run yet, or cannot be written down
        self.queued_again = False  # on disk it still runs, as under the agent before
        self._progress: tuple[int, int | None, Literal["bytes", "items"]] | None = None
        self._deadline_at: float | None = None
        self._idle: str | None = None
        self._store = store
        self._on_change = on_change
        self._writing = asyncio.Lock()
        self._record: tuple[Job, Record] | None = None

    @property
    def id(self) -> str:
        return self.stored.job.id

    @property
    def ended(self) -> bool:
        return self.stored.job.state in ENDED

    async def change(self, make: Callable[[Job], Job | None], **stored: object) -> bool:
        """Put what `make` makes of the job on disk, then have it be so.

        `make` may return None: nothing is to change. `stored` are fields of StoredJob.
        Says whether it changed. Once begun it is done, even for a caller that is cancelled.

        Raises:
            ProblemError: `store.*`; then nothing has changed.
        """
        return await finish(self._change(make, stored))

    async def _change(self, make: Callable[[Job], Job | None], stored: dict[str, object]) -> bool:
        async with self._writing:
            job = make(self.stored.job)
            if job is None:
                return False
            changed: StoredJob = msgspec.structs.replace(self.stored, job=job, **stored)
            await self._store.aside(self._store.save, changed)
            self.stored = changed
        self._on_change()
        return True

    async def ask(self, request: msgspec.Struct) -> None:
        """Have it asked for this from now on, once that is on disk. Raises ProblemError `store.*`.

        Which job it is, and what it locks, stays.
        """
        async with self._writing:
            encoded = msgspec.json.encode(request)
            await self._store.aside(self._store.save_request, self.id, encoded)
            self.stored = msgspec.structs.replace(self.stored, request_bytes=len(encoded))
            if not self.ended:
                self.request = request

    def new_stage(self, deadline_at: float, idle: str | None = None) -> None:
        """A stage begins with unknown progress. `idle`: why nothing goes on in it."""
        self._progress = None
        self._deadline_at = deadline_at
        self._idle = idle
        self._on_change()

    def move_deadline(self, deadline_at: float) -> None:
        self._deadline_at = deadline_at

    def progress(self, done: int, total: int | None, unit: Literal["bytes", "items"]) -> None:
        """How far it is. From any thread; whoever wants to know asks."""
        self._progress = done, total, unit

    def job(self) -> Job:
        """The job as it is now."""
        job = self.stored.job
        if self.queued_again:
            return msgspec.structs.replace(
                job, state="queued", stage=None, done=None, total=None, reason=self.waits
            )
        if job.state == "queued":
            return msgspec.structs.replace(job, reason=self.waits)
        if job.state != "running":
            return job
        done, total, unit = self._progress or (None, None, job.unit)
        return msgspec.structs.replace(
            job,
            done=done,
            total=total,
            unit=unit,
            deadline_at=self._deadline_at,
            reason=self.waits or job.reason or self._idle,
        )

    def record(self) -> Record:
        """The same for the live picture; the very same object until something differs."""
        job = self.job()
        done, total = job.done, job.total
        if done is None or not total:
            done = total = None
        else:
            done = total * min(100, done * 100 // total) // 100
        job = msgspec.structs.replace(job, done=done, total=total)
        if self._record is None or self._record[0] != job:
            self._record = job, msgspec.to_builtins(job)
        return self._record[1]
