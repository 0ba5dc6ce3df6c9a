"""Kinds of jobs that only tests know."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from agent.jobs.jobs import Jobs
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.jobs import ENDED, Job
from tests.waiting import until


class Paint(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a painting is asked for."""

    what: str
    colour: str = "red"


Do = Callable[[Work[Paint]], Awaitable[dict[str, str]]]


class Painting(JobKind[Paint]):
    """A kind whose work is a function of the test's."""

    name = "test.paint"
    request_type = Paint

    def __init__(self, do: Do | None = None, *, locks: bool = False) -> None:
        self.do = do or self.at_once_done
        self._locks = locks
        self.began: list[str] = []  # what was painted, each time that it began
        self.over: list[tuple[str, str]] = []  # what, and how it ended

    def subject(self, request: Paint) -> str:
        return request.what

    def locks(self, request: Paint) -> Sequence[str]:
        return [f"wall:{request.what}"] if self._locks else []

    async def run(self, work: Work[Paint]) -> dict[str, str]:
        self.began.append(work.request.what)
        return await self.do(work)

    def ended(self, job: Job) -> None:
        self.over.append((job.subject, job.state))

    async def at_once_done(self, work: Work[Paint]) -> dict[str, str]:
        return {"colour": work.request.colour}


class Brush:
    """Work that goes on until the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.enough = asyncio.Event()

    async def paint(self, work: Work[Paint]) -> dict[str, str]:
        self.begun.set()
        await self.enough.wait()
        return {"colour": work.request.colour}


async def ended(jobs: Jobs, job: Job | str) -> Job:
    """The job when it has ended."""
    name = job if isinstance(job, str) else job.id
    await until(lambda: jobs.get(name).state in ENDED)
    return jobs.get(name)
