"""The workload side of one node: plans, deployments, and the jobs that do them."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from agent.containers.runtime import NodeRuntime
from agent.doctor.inside import InsideLooker
from agent.jobs.jobs import Jobs
from agent.protocol.deployments import (
    ApplyRequest,
    Deployment,
    DeployPlan,
    PinRequest,
    ResolveRequest,
    WorkloadStatus,
)
from agent.protocol.gpus import GpuSample
from agent.protocol.jobs import Job
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.store.database import Database
from agent.workloads.applying import Applier, Rules
from agent.workloads.can_run import CanRun
from agent.workloads.containers import Containers
from agent.workloads.deployments import Deployments
from agent.workloads.gpu_check import GpuCheck
from agent.workloads.jobs import REMOVE, RemoveKind, RemoveWork
from agent.workloads.lease import BootClock, LinuxBootClock
from agent.workloads.machine import Machine
from agent.workloads.planning import Planner
from agent.workloads.probing import Prober
from agent.workloads.records import WorkloadRecord, WorkloadStore, digest_of
from agent.workloads.reverting import Reverter

log = logging.getLogger(__name__)


class NodeWorkloads:
    """What the handlers of one node need for workloads.

    All methods raise ProblemError `store.*` beside what they say.
    """

    def __init__(
        self,
        *,
        runtime: NodeRuntime,
        jobs: Jobs,
        database: Database,
        rules: Rules,
        facts: Callable[[], NodeFacts],
        samples: Callable[[], Sequence[GpuSample]],
        procfs: Path | None = Path("/proc"),
        boot_clock: BootClock | None = None,
    ) -> None:
        """Registers its jobs. `procfs` None: the containers are simulated."""
        self._runtime, self._jobs = runtime, jobs
        self._store = WorkloadStore(database)
        containers = Containers(runtime, facts)
        clock = boot_clock or LinuxBootClock()
        self._planner = Planner(
            runtime=runtime,
            store=self._store,
            facts=facts,
            samples=samples,
            can_run=CanRun(runtime, facts, tables=rules.tables),
        )
        self._applier = Applier(
            runtime=runtime, store=self._store, planner=self._planner, rules=rules
        )
        self.deployments = Deployments(
            jobs=jobs,
            store=self._store,
            machine=Machine(
                runtime=runtime,
                store=self._store,
                containers=containers,
                facts=facts,
                check=GpuCheck(runtime, InsideLooker(runtime, procfs=procfs)),
                prober=Prober(runtime, procfs=procfs),
                boot_clock=clock,
            ),
            reverter=Reverter(self._store, containers),
            boot_clock=clock,
        )
        jobs.register(RemoveKind(store=self._store, containers=containers))

    async def start(self, *, by_itself: bool = True) -> None:
        """Read what a former agent left. Where that fails it is tried again when asked.

        Not `by_itself`: there is nothing to go on with.
        """
        if not by_itself:
            return
        try:
            await self._store.load()
        except ProblemError as problem:
            log.warning("no workloads until the database can be used: %s", problem.detail)
        self.deployments.start()

    async def stop(self) -> None:
        """End what goes on beside the jobs."""
        await self.deployments.stop()

    async def plan_pin(self, container: str, request: PinRequest) -> DeployPlan:
        """What a pin would do. Raises ProblemError `container.not_found`, `runtime.*`."""
        await self._store.load()
        return (await self._planner.pin(container, request)).answer

    async def pin(self, container: str, request: PinRequest, *, owner: str, key: str | None) -> Job:
        """Have the same container on other GPUs.

        Raises:
            ProblemError: `placement.*`, `gpu.*`, `pin.*`, `container.*`, `runtime.*`, and those
                of `Deployments.begin`.
        """
        return await self.deployments.begin(
            lambda: self._planner.pin(container, request),
            request.options,
            asked=digest_of(container.encode(), msgspec.json.encode(request)),
            owner=owner,
            key=key,
        )

    async def plan_apply(self, request: ApplyRequest) -> DeployPlan:
        """What an apply would do. Raises ProblemError `runtime.*`."""
        await self._store.load()
        return (await self._applier.plan(request)).answer

    async def apply(self, request: ApplyRequest, *, owner: str, key: str | None) -> Job:
        """Have these workloads run as said.

        Raises:
            ProblemError: what is in the plan, and those of `Deployments.begin`.
        """
        return await self.deployments.begin(
            lambda: self._applier.plan(request),
            request.options,
            asked=digest_of(msgspec.json.encode(request)),
            owner=owner,
            key=key,
        )

    async def list(self) -> builtins.list[WorkloadStatus]:
        """All workloads by name."""
        await self._store.load()
        return [self._status(each) for each in self._store.workloads()]

    async def show(self, name: str) -> WorkloadStatus:
        """Raises ProblemError `workload.not_found`."""
        return self._status(await self._known(name))

    async def deployment(self, deployment_id: str) -> Deployment:
        """Raises ProblemError `deployment.not_found`."""
        await self._store.load()
        return self._store.deployment(deployment_id).shown

    async def remove(self, name: str, *, owner: str, key: str | None) -> Job:
        """Have a workload be no more; its volumes stay.

        Raises:
            ProblemError: `workload.not_found`, `deployment.*`, and those of `Jobs.submit`.
        """
        record = await self._known(name)
        self.deployments.check_free([name])
        return await self._jobs.submit(
            REMOVE, RemoveWork(workload=record.name), owner=owner, key=key
        )

    async def undo(self, name: str, *, by: str) -> Job:
        """Take the newest deployment of a workload back.

        Raises:
            ProblemError: `workload.not_found`, and those of `Deployments.revert`.
        """
        deployment = self.deployments.newest_of(name) or (await self._known(name)).deployment
        if deployment is None:
            raise _not_found(name)
        return await self.deployments.revert(deployment, by=by, why=f"{by} took it back")

    async def confirm(self, name: str) -> Deployment:
        """The newest deployment of a workload may stay.

        Raises:
            ProblemError: `workload.not_found`.
        """
        deployment = self.deployments.newest_of(name) or (await self._known(name)).deployment
        if deployment is None:
            raise _not_found(name)
        return await self.deployments.confirm(deployment)

    async def resolve(self, name: str, request: ResolveRequest, *, by: str) -> Job:
        """The way out of `stuck`; see `Deployments.resolve`."""
        return await self.deployments.resolve(name, request, by=by)

    async def _known(self, name: str) -> WorkloadRecord:
        await self._store.load()
        record = self._store.workload(name)
        if record is None:
            raise _not_found(name)
        return record

    def _status(self, record: WorkloadRecord) -> WorkloadStatus:
        container = self._runtime.containers().get(record.stable or "")
        newest = self.deployments.newest_of(record.name) or record.deployment
        state = None
        if newest is not None and self._store.has_deployment(newest):
            state = self._store.deployment(newest).shown.state
        return WorkloadStatus(
            name=record.name,
            release=record.release,
            container=record.stable,
            state="missing" if container is None else container.state,
            gpus=record.gpus,
            gpu_way=record.gpu_way,
            memory_bytes=None if record.gpu is None else record.gpu.memory_bytes,
            deployment=newest,
            deployment_state=state,
            can_undo=record.kept is not None and state == "done",
        )


def _not_found(name: str) -> ProblemError:
    return ProblemError(
        "workload.not_found",
        f"no workload is named {name!r}",
        params={"workload": name},
        hint="`roost workload ls` shows those that there are.",
    )
