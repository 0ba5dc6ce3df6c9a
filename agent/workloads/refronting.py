"""Proxies whose configuration was lost while no agent was there: written again as it was.

HAProxy goes on with what it has in memory, so the requests do; what it shall be is in the record.
"""

from __future__ import annotations

import logging

from agent.jobs.jobs import Jobs
from agent.protocol.jobs import ENDED
from agent.protocol.problems import ProblemError
from agent.traffic.state import Target
from agent.traffic.traffic import Traffic
from agent.workloads.fronts import ALL
from agent.workloads.jobs import REMOVE
from agent.workloads.records import WorkloadRecord, WorkloadStore
from agent.workloads.under_way import check_free

log = logging.getLogger(__name__)


class Refronter:
    """Sees to the proxies of one node's workloads that are at rest: a deployment does so itself."""

    def __init__(self, store: WorkloadStore, jobs: Jobs, traffic: Traffic) -> None:
        self._store, self._jobs, self._traffic = store, jobs, traffic

    async def see_to_it(self) -> None:
        """Have each workload that is behind a proxy be behind one; what cannot be is in the log."""
        for record in self._store.workloads():
            if record.front is None or record.stable is None:
                continue
            target = Target(container=record.stable, front=record.front, weight=ALL)
            try:
                if await self._traffic.targets(record.name) or self._is_changing(record):
                    continue
                log.warning("the proxy of %s has no configuration: it is made again", record.name)
                await self._traffic.put(record.name, {"stable": target})
            except (ProblemError, OSError) as error:
                log.warning("the proxy of %s is not made again: %s", record.name, error)

    def _is_changing(self, record: WorkloadRecord) -> bool:
        """Raises ProblemError `node.not_ready`."""
        try:
            check_free(self._store, [record.name])
        except ProblemError:
            return True
        return any(
            job.kind == REMOVE and job.subject == record.name and job.state not in ENDED
            for job in self._jobs.newest()
        )
