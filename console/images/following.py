"""Waiting for a job's end, with little on the link."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from random import Random

from agent.protocol.jobs import AWAITING_LAYERS, ENDED, Job, JobLogLine
from agent.protocol.problems import ProblemError
from console.images.patience import Patience
from console.link.client import NodeClient
from console.link.problems import garbage

# A look is some 1.5 KB, and a new TLS connection before it 4 KB. While layers are on their way,
# this side knows how far it is.
LOOK_SECONDS = 2.0
LOOK_SELDOM_SECONDS = 30.0
_SELDOM = AWAITING_LAYERS | {None}
# Lines come in bursts: one look for all of them.
BURST_SECONDS = 0.5


class Follower:
    """Follows one job. Its log wakes it: a line is a new stage, and the end comes at once."""

    def __init__(
        self,
        client: NodeClient,
        job_id: str,
        *,
        seen: Callable[[Job], None] = lambda _: None,
        look_seconds: float | None = None,
    ) -> None:
        """`seen` hears of the job as it goes on. `look_seconds` None: as seldom as will do."""
        self._client, self._job_id = client, job_id
        self._seen, self._look_seconds = seen, look_seconds
        self._line = 0

    async def until_ended(self) -> Job:
        """The job when it has ended. After `link.*`, ask again: nothing is sent twice."""
        async with aclosing(self._client.job_log(self._job_id, after=self._line)) as batches:
            coming = _next(batches)
            try:
                while True:
                    job = await self._client.job(self._job_id)
                    self._seen(job)
                    if job.state in ENDED:
                        return job
                    await asyncio.wait({coming}, timeout=self._pause(job))
                    if not coming.done():
                        continue
                    batch = coming.result()
                    if isinstance(batch, Job):
                        return self._last(batch)
                    self._line = max([self._line, *(line.number for line in batch)])
                    await asyncio.sleep(BURST_SECONDS)
                    coming = _next(batches)
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    def _last(self, job: Job) -> Job:
        if job.state not in ENDED:
            raise garbage(self._client.name, f"the log ended while the job is {job.state}")
        self._seen(job)
        return job

    def _pause(self, job: Job) -> float:
        if self._look_seconds is not None:
            return self._look_seconds
        return LOOK_SELDOM_SECONDS if job.stage in _SELDOM else LOOK_SECONDS


Batch = list[JobLogLine] | Job


def _next(batches: AsyncGenerator[Batch, None]) -> asyncio.Task[Batch]:
    async def one() -> Batch:
        return await anext(batches)

    return asyncio.create_task(one())


async def see_through(
    client: NodeClient,
    job: Job,
    *,
    random: Random,
    seen: Callable[[Job], None] = lambda _: None,
    told: Callable[[str | None], None] = lambda _: None,
) -> Job:
    """The job when it has ended well, however often the link is cut meanwhile.

    `told` hears why the node does not answer, each time, and None when it does again.

    Raises:
        ProblemError: as `ended_well`; `link.*`, `ssh.*` after a long time without an answer.
    """
    patience = Patience(random=random, told=told)

    def moved(job: Job) -> None:
        patience.moved()
        seen(job)

    return ended_well(await patience.ask(Follower(client, job.id, seen=moved).until_ended))


def ended_well(job: Job) -> Job:
    """The job, if it succeeded or had nothing to do.

    Raises:
        ProblemError: the job's own, or `job.unsuccessful`.
    """
    if job.state in {"succeeded", "skipped"}:
        return job
    if job.problem is not None and job.state == "failed":
        raise ProblemError.from_problem(job.problem)
    raise ProblemError(
        "job.unsuccessful",
        f"the job {job.id} is {job.state}: {job.reason or 'no reason was given'}",
        params={"job": job.id, "state": job.state},
        hint=f"See what it did: roost job log {job.id}",
    )
