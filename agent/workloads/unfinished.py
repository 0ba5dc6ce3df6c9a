"""Deployments that nobody is at work on any more, and that are not at rest: they go back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from agent.jobs.jobs import Jobs
from agent.protocol.deployments import AT_REST
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.workloads.records import DeploymentRecord, WorkloadStore
from agent.workloads.reverting import Reverter

LOOK_AGAIN_SECONDS = 5.0

log = logging.getLogger(__name__)


class Unfinished:
    """Sees to what a job, or an agent before, left; beside the jobs, until it is written.

    Args:
        submit: begins the way back of a deployment that is reverting.
        seen_to: whether the deployment of that id is at rest, or a job is at work on it.
        is_of: whether the job of that id is at work on a deployment, or was until it ended.
    """

    def __init__(
        self,
        *,
        jobs: Jobs,
        store: WorkloadStore,
        reverter: Reverter,
        submit: Callable[[DeploymentRecord], Awaitable[Job]],
        seen_to: Callable[[str], Awaitable[bool]],
        is_of: Callable[[str, DeploymentRecord], bool],
    ) -> None:
        self._jobs, self._store, self._reverter = jobs, store, reverter
        self._submit, self._seen_to, self._is_of = submit, seen_to, is_of
        self._tasks: set[asyncio.Task[None]] = set()

    def pick_up(self) -> None:
        """See to deployments that an agent before left without a job, which a crash can do."""
        self._spawn(self._pick_up)

    def take_back(self, job: Job) -> None:
        """A deployment's job has ended, and the old container may not be back."""
        self._spawn(partial(self._take_back, job.id))

    def leave_stuck(self, job: Job) -> None:
        """The way back has ended on its way: a person is needed."""
        self._spawn(partial(self._leave_stuck, job))

    async def stop(self) -> None:
        """End what goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take_back(self, job_id: str) -> None:
        for record in self._store.deployments():
            if record.shown.state not in AT_REST and self._is_of(job_id, record):
                job = self._jobs.get(job_id)
                why = job.reason or (job.problem.detail if job.problem else job.state)
                begun = await self._reverter.begin(
                    record.shown.id, by="roost", why=why, problem=job.problem
                )
                await self._submit(begun)

    async def _leave_stuck(self, job: Job) -> None:
        for record in self._store.deployments():
            if record.shown.state == "reverting" and self._is_of(job.id, record):
                problem = ProblemError(
                    "deploy.stuck",
                    f"the way back ended: {job.reason or job.state}",
                    params={"job": job.id},
                    hint="Go on with it: roost workload resolve NODE NAME --keep-old",
                )
                await self._reverter.stuck(record.shown.id, job.problem or problem.problem())

    async def _pick_up(self) -> None:
        while True:
            try:
                await self._store.load()
                self._jobs.newest()  # raises while there are none yet
                for record in self._store.deployments():
                    if record.shown.state in AT_REST or await self._seen_to(record.shown.id):
                        continue
                    why = "the agent ended before it had begun"
                    begun = await self._reverter.begin(record.shown.id, by="roost", why=why)
                    await self._submit(begun)
            except ProblemError as problem:
                log.info("deployments are not looked at yet: %s", problem.detail)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
            else:
                return

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _logged(work: Callable[[], Awaitable[None]]) -> None:
    """Until it is written: a disk that is full now has space again some day."""
    while True:
        try:
            await work()
        except ProblemError as problem:
            if problem.code.startswith("store."):
                log.warning("what becomes of a deployment is not written: %s", problem.detail)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
                continue
            log.exception("seeing to a deployment failed")
        except Exception:
            log.exception("seeing to a deployment failed")
        return
