"""What the handlers of one node need for snapshots."""

from __future__ import annotations

from agent.jobs.jobs import Jobs
from agent.protocol.jobs import Job
from agent.protocol.snapshots import RESTORE, NodeSnapshot, RestoreRequest
from agent.snapshots.restoring import Engines, Images, RestoreKind, Workloads
from agent.snapshots.taking import Taker


class NodeSnapshots:
    """Taking how a node is, and bringing it back."""

    def __init__(
        self, taker: Taker, *, jobs: Jobs, images: Images, engines: Engines, workloads: Workloads
    ) -> None:
        """Registers its job."""
        self._taker, self._jobs = taker, jobs
        jobs.register(RestoreKind(jobs=jobs, images=images, engines=engines, workloads=workloads))

    async def take(self, *, environment: bool) -> NodeSnapshot:
        """How the node is now. Raises as `Taker.take`."""
        return await self._taker.take(environment=environment)

    async def restore(self, request: RestoreRequest, *, owner: str, key: str | None) -> Job:
        """The job that brings the node there. Raises those of `Jobs.submit`."""
        return await self._jobs.submit(RESTORE, request, owner=owner, key=key)
