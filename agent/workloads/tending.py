"""What a node does by itself about a workload that is not well, and how often at most."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Literal

from agent.jobs.jobs import Jobs
from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from agent.workloads.jobs import DEPLOY
from agent.workloads.records import WorkloadRecord, WorkloadStore
from agent.workloads.restarting import RESTART

OWNER = "roost"
# Each costs a downtime, and what does not help soon does not help at all.
AT_LEAST_SECONDS = 600.0
DAY_SECONDS = 86400.0
A_DAY = 6
# One look may fall into a moment in which the driver is being exchanged.
LOOKS = 2

Deed = Literal["re-created", "restarted"]
_KINDS: dict[Deed, str] = {"re-created": DEPLOY, "restarted": RESTART}

log = logging.getLogger(__name__)


class Tender:
    """Re-creates containers that lost their GPU, and restarts those over their ceiling.

    Only where the workload allows it; what the runtime left behind is restarted in any case. How
    often it did is read from the jobs, so an agent that starts anew knows it.

    Args:
        recreate: begins a deployment of what runs already.
        restart: begins a restart.
    """

    def __init__(
        self,
        *,
        store: WorkloadStore,
        jobs: Jobs,
        recreate: Callable[[WorkloadRecord], Awaitable[Job]],
        restart: Callable[[WorkloadRecord], Awaitable[Job]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._jobs, self._clock = store, jobs, clock
        self._begin: dict[Deed, Callable[[WorkloadRecord], Awaitable[Job]]] = {
            "re-created": recreate,
            "restarted": restart,
        }
        self._looks: dict[str, int] = {}  # in a row in which a workload was unwell
        self._told: dict[str, str] = {}
        self._one_at_a_time = asyncio.Lock()

    def told(self, workload: str) -> str | None:
        """What is done about it, or why nothing is; None: there is nothing to do."""
        return self._told.get(workload)

    async def tend(
        self,
        *,
        lost: Collection[str],
        over: Collection[str],
        left: Collection[str] = (),
    ) -> None:
        """Do what is due.

        Args:
            lost: containers that do not see their GPUs.
            over: containers over their ceiling.
            left: containers that the runtime left behind; see `left_behind`.

        Raises:
            ProblemError: `node.not_ready`: there are no jobs yet.
        """
        async with self._one_at_a_time:
            for record in self._store.workloads():
                deed = self._due(record, lost, over, left)
                if deed is None:
                    self._told.pop(record.name, None)
                else:
                    # As it is, it is of no use to anybody: no more is lost.
                    freely = record.stable in left
                    self._told[record.name] = await self._do(deed, record, freely=freely)
            there = {record.name for record in self._store.workloads()}
            self._looks = {name: count for name, count in self._looks.items() if name in there}
            self._told = {name: words for name, words in self._told.items() if name in there}

    def _due(
        self,
        record: WorkloadRecord,
        lost: Collection[str],
        over: Collection[str],
        left: Collection[str],
    ) -> Deed | None:
        if record.stable is None:
            return None
        unwell = record.stable in lost or record.stable in left
        looks = self._looks.get(record.name, 0) + 1 if unwell else 0
        self._looks[record.name] = looks
        if looks >= LOOKS and record.stable in left:
            return "restarted"
        if record.gpu is None:
            return None
        if looks >= LOOKS and record.gpu.on_lost == "recreate":
            return "re-created"
        if record.stable in over and record.gpu.on_exceeded == "restart":
            return "restarted"
        return None

    async def _do(self, deed: Deed, record: WorkloadRecord, *, freely: bool) -> str:
        """Begin it, unless it was done lately and not `freely`; what to tell."""
        jobs = self._jobs.newest()
        for job in jobs:
            if record.name in job.subject.split(", ") and job.state not in ENDED:
                return f"the job {job.id} ({job.kind}, by {job.owner}) is at work on it"
        before = [
            job.created_at
            for job in jobs
            if (job.kind, job.owner, job.subject) == (_KINDS[deed], OWNER, record.name)
        ]
        if not freely and (why := too_often(before, self._clock())):
            return f"it was {deed} {why}"
        try:
            job = await self._begin[deed](record)
        except ProblemError as problem:
            log.warning("%s is not %s: %s", record.name, deed, problem.detail)
            return f"it is not {deed}: {problem.detail}"
        log.warning("%s is %s: job %s", record.name, deed, job.id)
        return f"it is {deed} by the job {job.id}"


def too_often(before: Sequence[float], now: float) -> str | None:
    """Why it is not done once more; None: it may be. Times of a clock that leapt do not count."""
    ages = [now - at for at in before if 0 <= now - at < DAY_SECONDS]
    if any(age < AT_LEAST_SECONDS for age in ages):
        return f"just now; the agent waits {AT_LEAST_SECONDS / 60:g} minutes until it does it again"
    if len(ages) >= A_DAY:
        return f"{A_DAY} times within a day, which did not help: the rest is left to you"
    return None
