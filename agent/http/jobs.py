"""`/v1/jobs`: what the node is at work on, and what came of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated

from litestar import get, post
from litestar.params import FromQuery, HeaderParameter, PathParameter, QueryParameter
from litestar.response import Stream

from agent.http import sse
from agent.http.caller import TheCaller, TheNode
from agent.node import Node
from agent.protocol.jobs import IDEMPOTENCY_HEADER, Job, JobLogLine, JobState

KEY_LIMIT = 200

JobName = Annotated[str, PathParameter(min_length=1, max_length=64)]
IdempotencyKey = Annotated[
    str | None, HeaderParameter(name=IDEMPOTENCY_HEADER, min_length=1, max_length=KEY_LIMIT)
]


@get("/v1/jobs", tags=["jobs"])
async def list_jobs(
    node: TheNode,
    in_state: Annotated[JobState | None, QueryParameter(name="state")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
) -> list[Job]:
    """Jobs, the newest first. Old ones are forgotten after a while."""
    return node.jobs.newest(state=in_state, limit=limit)


@get("/v1/jobs/{job:str}", tags=["jobs"])
async def get_job(node: TheNode, job: JobName) -> Job:
    """One job by its id or the start of it."""
    return node.jobs.get(job)


@get("/v1/jobs/{job:str}/log", tags=["jobs"], media_type="text/event-stream")
async def get_job_log(
    node: TheNode,
    job: JobName,
    *,
    follow: FromQuery[bool] = True,
    after: Annotated[int, QueryParameter(ge=0)] = 0,
) -> Stream:
    """The job's log as `event: lines` (a list of JobLogLine), then `event: end` with the Job.

    It ends with the job, or without `follow` with what there is. `after` is the number of the
    last line that is known already.
    """
    id_ = node.jobs.get(job).id
    batches = node.jobs.log(id_, after=after, follow=follow)
    # The first batch is empty: what is wrong is told before the stream begins.
    await anext(batches)
    return sse.event_stream(_lines(node, id_, batches))


@post("/v1/jobs/{job:str}/cancel", tags=["jobs"], status_code=200, role="operator")
async def cancel_job(node: TheNode, caller: TheCaller, job: JobName) -> Job:
    """Cancel a job. One that waits ends at once; one that runs is `cancelling` until it ends."""
    caller.doing("job.cancel", f"job/{job}")
    return await node.jobs.cancel(job, by=caller.owner)


@post("/v1/jobs/{job:str}/retry", tags=["jobs"], status_code=202, role="operator")
async def retry_job(
    node: TheNode, caller: TheCaller, job: JobName, idempotency_key: IdempotencyKey = None
) -> Job:
    """A new job that does what this one did not; its `parent` is this one."""
    caller.doing("job.retry", f"job/{job}")
    return await node.jobs.retry(job, owner=caller.owner, key=idempotency_key)


async def _lines(
    node: Node, job: str, batches: AsyncGenerator[list[JobLogLine], None]
) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(batches):
        async for batch in batches:
            yield sse.event("lines", batch)
    yield sse.event("end", node.jobs.get(job))
