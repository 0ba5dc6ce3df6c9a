"""A process with jobs that kills itself: `python -m tests.agent.jobs.small_agent PLAN`.

It asks for one job, always with the same key, and sees it to its end. The work has two steps,
each of which leaves a line in a file, once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, Literal

import msgspec

from agent.jobs.job_store import JobStore, StoredJob
from agent.jobs.jobs import Jobs
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.jobs import ENDED
from agent.store.database import Database

STEPS = ("one", "two")


class Plan(msgspec.Struct, kw_only=True):
    """What the process is to do."""

    folder: str  # for the database and the file of steps
    resumable: bool
    cancel: bool = False  # in the first step
    kill: Literal["before", "after"] | None = None  # the write of a state
    write: int = 0  # which one, from 1


class Walk(msgspec.Struct, kw_only=True):
    """The request."""

    where: str


class Walking(JobKind[Walk]):
    """Two steps."""

    name = "test.walk"
    request_type = Walk

    def __init__(self, file: Path, plan: Plan) -> None:
        self._file = file
        self._stands = plan.cancel
        self.resumable = plan.resumable
        self.waits = asyncio.Event()

    def subject(self, request: Walk) -> str:
        return request.where

    async def run(self, work: Work[Walk]) -> dict[str, str]:
        for step in STEPS:
            await work.stage(step, 60, leaves=f"step {step} may be half-done")
            await asyncio.to_thread(self._take, step)
            if self._stands:
                self.waits.set()
                await asyncio.Event().wait()
        return {"steps": str(len(STEPS))}

    def _take(self, step: str) -> None:
        done = self._file.read_text(encoding="utf-8").split() if self._file.exists() else []
        if step not in done:
            with self._file.open("a", encoding="utf-8") as file:
                file.write(f"{step}\n")


class KillingStore:
    """Kills the process at one of the writes of a state."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._writes = 0
        add, save = JobStore.add, JobStore.save

        def adding(store: JobStore, stored: StoredJob, *more: Any) -> None:
            self._count("before")
            add(store, stored, *more)
            self._kill("after")

        def saving(store: JobStore, stored: StoredJob) -> None:
            self._count("before")
            save(store, stored)
            self._kill("after")

        setattr(JobStore, "add", adding)  # noqa: B010 - mypy takes no assignment to a method
        setattr(JobStore, "save", saving)  # noqa: B010

    def _count(self, when: str) -> None:
        self._writes += 1
        self._kill(when)

    def _kill(self, when: str) -> None:
        if (self._writes, when) == (self._plan.write, self._plan.kill):
            os.kill(os.getpid(), signal.SIGKILL)


async def live(plan: Plan) -> None:
    folder = Path(plan.folder)
    database = Database(folder / "agent.db")
    jobs = Jobs(database)
    walking = Walking(folder / "steps", plan)
    jobs.register(walking)
    await jobs.start()
    job = await jobs.submit("test.walk", Walk(where="home"), owner="maria", key="the key")
    if plan.cancel:
        await walking.waits.wait()
        await jobs.cancel(job.id, by="paul")
    while jobs.get(job.id).state not in ENDED:  # noqa: ASYNC110 - simple, and as good
        await asyncio.sleep(0.005)
    await jobs.stop()
    database.close()


def main() -> None:
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    KillingStore(plan)
    asyncio.run(live(plan))


if __name__ == "__main__":
    main()
