"""Waiting for a job's end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from console.link.client import NodeClient

LOOK_SECONDS = 0.5


async def until_ended(
    client: NodeClient, job_id: str, *, seen: Callable[[Job], None] = lambda _: None
) -> Job:
    """The job when it has ended; `seen` hears of it meanwhile. Raises ProblemError `link.*`."""
    while True:
        job = await client.job(job_id)
        seen(job)
        if job.state in ENDED:
            return job
        await asyncio.sleep(LOOK_SECONDS)


def ended_well(job: Job) -> Job:
    """The job, if it succeeded or had nothing to do.

    Raises:
        ProblemError: the job's own, or `job.unsuccessful`.
    """
    if job.state in {"succeeded", "skipped"}:
        return job
    if job.problem is not None:
        raise ProblemError.from_problem(job.problem)
    raise ProblemError(
        "job.unsuccessful",
        f"the job {job.id} is {job.state}: {job.reason or 'no reason was given'}",
        params={"job": job.id, "state": job.state},
        hint=f"See what it did: roost job log {job.id}",
    )
