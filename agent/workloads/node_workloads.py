"""The workload side of one node: plans, deployments, and the jobs that do them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent.containers.runtime import NodeRuntime
from agent.doctor.inside import InsideLooker
from agent.jobs.jobs import Jobs
from agent.protocol.deployments import (
    AT_REST,
    DeployedWorkload,
    Deployment,
    DeployOptions,
    DeployPlan,
    PinRequest,
    StateChange,
    WorkloadStatus,
)
from agent.protocol.gpus import GpuSample
from agent.protocol.jobs import ENDED, Job
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.store.database import Database
from agent.workloads.containers import Containers
from agent.workloads.gpu_check import GpuCheck
from agent.workloads.jobs import (
    DEPLOY,
    REVERT,
    DeployKind,
    DeploymentWork,
    RemoveKind,
    RevertKind,
)
from agent.workloads.lease import BootClock, LinuxBootClock, renewed
from agent.workloads.machine import Machine
from agent.workloads.planning import Planned, Planner
from agent.workloads.probing import Prober
from agent.workloads.records import DeploymentRecord, Part, WorkloadRecord, WorkloadStore
from agent.workloads.reverting import Reverter

LOOK_AGAIN_SECONDS = 5.0

log = logging.getLogger(__name__)


class NodeWorkloads:
    """What the handlers of one node need for workloads."""

    def __init__(
        self,
        *,
        runtime: NodeRuntime,
        jobs: Jobs,
        database: Database,
        facts: Callable[[], NodeFacts],
        samples: Callable[[], Sequence[GpuSample]],
        procfs: Path | None = Path("/proc"),
        boot_clock: BootClock | None = None,
    ) -> None:
        """Registers its jobs. `procfs` None: the containers are simulated."""
        self._runtime, self._jobs = runtime, jobs
        self._store = WorkloadStore(database)
        self._containers = Containers(runtime, facts)
        self._planner = Planner(runtime=runtime, store=self._store, facts=facts, samples=samples)
        self._reverter = Reverter(self._store, self._containers)
        self._boot_clock = boot_clock or LinuxBootClock()
        machine = Machine(
            runtime=runtime,
            store=self._store,
            containers=self._containers,
            facts=facts,
            check=GpuCheck(runtime, InsideLooker(runtime, procfs=procfs)),
            prober=Prober(runtime, procfs=procfs),
            boot_clock=self._boot_clock,
        )
        deploy = DeployKind(machine=machine, reverter=self._reverter, taken_back=self._take_back)
        jobs.register(deploy)
        jobs.register(
            RevertKind(reverter=self._reverter, let_go=deploy.let_go, given_up=self._given_up)
        )
        jobs.register(RemoveKind(store=self._store, containers=self._containers))
        self._beginning = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened = False

    async def start(self, *, by_itself: bool = True) -> None:
        """Read what a former agent left. Where that fails it is tried again when asked.

        Not `by_itself`: there is nothing to go on with.
        """
        if not by_itself:
            return
        try:
            await self._open()
        except ProblemError as problem:
            log.warning("no workloads until the database can be used: %s", problem.detail)
        self._spawn(self._pick_up())

    async def stop(self) -> None:
        """End what goes on beside the jobs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def plan_pin(self, container: str, request: PinRequest) -> DeployPlan:
        """What a pin would do. Raises ProblemError `container.not_found`, `runtime.*`."""
        await self._open()
        return (await self._planner.pin(container, request)).answer

    async def pin(self, container: str, request: PinRequest, *, owner: str, key: str | None) -> Job:
        """Have the same container on other GPUs.

        Raises:
            ProblemError: `placement.*`, `gpu.*`, `pin.*`, `deploy.*`, `container.*`, `runtime.*`,
                and those of `Jobs.submit`.
        """
        asked = _digest(container.encode(), msgspec.json.encode(request))
        return await self._begin(
            lambda: self._planner.pin(container, request),
            request.options,
            asked=asked,
            owner=owner,
            key=key,
        )

    async def list(self) -> list[WorkloadStatus]:
        """All workloads by name. Raises ProblemError `store.*`."""
        await self._open()
        return [self._status(each) for each in self._store.workloads()]

    async def deployment(self, deployment_id: str) -> Deployment:
        """Raises ProblemError `deployment.not_found`, `store.*`."""
        await self._open()
        return self._store.deployment(deployment_id).shown

    async def confirm(self, deployment_id: str) -> Deployment:
        """It may stay. Idempotent: whether it will is in the answer's state.

        Raises:
            ProblemError: `deployment.not_found`, `store.*`.
        """
        await self._open()

        def confirm(record: DeploymentRecord) -> DeploymentRecord | None:
            if record.shown.state in (*AT_REST, "reverting"):
                return None
            shown = msgspec.structs.replace(record.shown, confirmed=True)
            return msgspec.structs.replace(record, shown=shown)

        return (await self._store.change(deployment_id, confirm)).shown

    async def renew(self, deployment_id: str) -> Deployment:
        """Whoever steers is still there. Raises as `confirm`."""
        await self._open()

        def renew(record: DeploymentRecord) -> DeploymentRecord | None:
            if record.shown.state != "canary":
                return None
            return renewed(record, self._boot_clock)

        return (await self._store.change(deployment_id, renew)).shown

    async def revert(self, deployment_id: str, *, by: str, why: str) -> Job:
        """Take a deployment back, also one that is done. It waits for nobody.

        Raises:
            ProblemError: `deployment.not_found`, `deployment.superseded`, `store.*`.
        """
        await self._open()
        record = self._store.deployment(deployment_id)
        self._check_newest(record)
        begun = await self._reverter.begin(deployment_id, by=by, why=why)
        under_way = record.shown.job
        if under_way is not None and self._jobs.get(under_way).state not in ENDED:
            job = self._jobs.get(under_way)
            if job.kind == REVERT:
                return job
            await self._jobs.cancel(under_way, by=by)
        return await self._submit(REVERT, begun)

    async def _begin(
        self,
        plan: Callable[[], Awaitable[Planned]],
        options: DeployOptions,
        *,
        asked: str,
        owner: str,
        key: str | None,
    ) -> Job:
        await self._open()
        deployment_id = secrets.token_hex(6) if key is None else _digest(key.encode())[:12]
        async with self._beginning:  # two that want the same GPU are planned in turn
            if self._store.has_deployment(deployment_id):
                return self._asked_before(deployment_id, asked)
            planned = await plan()
            planned.check()
            self._check_free(planned.parts)
            record = _record(deployment_id, planned, options, asked=asked, owner=owner)
            await self._store.add(record)
            return await self._submit(DEPLOY, record)

    def _asked_before(self, deployment_id: str, asked: str) -> Job:
        record = self._store.deployment(deployment_id)
        if record.asked != asked or record.shown.job is None:
            raise ProblemError(
                "job.key_reused",
                "the idempotency key was used for another deployment",
                params={"deployment": deployment_id},
                hint="Use a new key for a new request.",
            )
        return self._jobs.get(record.shown.job)

    async def _submit(self, kind: str, record: DeploymentRecord) -> Job:
        """The job that is at work on a deployment from now on."""
        shown = record.shown
        request = DeploymentWork(
            deployment=shown.id, subject=", ".join(part.name for part in record.parts)
        )
        job = await self._jobs.submit(
            kind, request, owner=shown.owner, key=f"{shown.id}/{record.generation}"
        )

        def with_job(record: DeploymentRecord) -> DeploymentRecord:
            shown = msgspec.structs.replace(record.shown, job=job.id)
            return msgspec.structs.replace(record, shown=shown)

        await self._store.change(shown.id, with_job)
        return job

    def _check_free(self, parts: Sequence[Part]) -> None:
        """One deployment at a time for each workload. Raises ProblemError `deployment.*`."""
        names = {part.name for part in parts}
        for record in self._store.deployments():
            held = names & {part.name for part in record.parts}
            if not held or record.shown.state in ("done", "reverted"):
                continue
            stuck = record.shown.state == "stuck"
            raise ProblemError(
                "deployment.stuck" if stuck else "deployment.under_way",
                f"{', '.join(sorted(held))}: deployment {record.shown.id}"
                f" ({record.shown.release}, by {record.shown.owner}) is {record.shown.state}",
                params={"deployment": record.shown.id, "job": record.shown.job},
                hint="Resolve it first: roost workload resolve NODE NAME"
                if stuck
                else "Wait for it, or take it back: roost workload undo NODE NAME",
            )

    def _check_newest(self, record: DeploymentRecord) -> None:
        """Only the newest deployment of a workload can be taken back: it has the old container."""
        for part in record.parts:
            workload = self._store.workload(part.name)
            if record.shown.state == "done" and (
                workload is None or workload.deployment != record.shown.id
            ):
                raise ProblemError(
                    "deployment.superseded",
                    f"{part.name}: deployment {record.shown.id} is not its newest any more",
                    params={"deployment": record.shown.id, "workload": part.name},
                    hint="`roost workload show NODE NAME` shows the newest.",
                )

    def _status(self, record: WorkloadRecord) -> WorkloadStatus:
        container = self._runtime.containers().get(record.stable or "")
        state = None
        if record.deployment is not None and self._store.has_deployment(record.deployment):
            state = self._store.deployment(record.deployment).shown.state
        return WorkloadStatus(
            name=record.name,
            release=record.release,
            container=record.stable,
            state="missing" if container is None else container.state,
            gpus=record.gpus,
            gpu_way=record.gpu_way,
            memory_bytes=None if record.gpu is None else record.gpu.memory_bytes,
            deployment=record.deployment,
            deployment_state=state,
            can_undo=record.kept is not None and state == "done",
        )

    async def _open(self) -> None:
        """Raises ProblemError `store.*`."""
        await self._store.load()

    def _take_back(self, job: Job) -> None:
        """A deployment's job has ended, and the old container may not be back."""
        self._spawn(self._see_to(job.id))

    def _given_up(self, job: Job) -> None:
        """The way back has ended on its way."""
        self._spawn(self._leave_stuck(job))

    async def _see_to(self, job_id: str) -> None:
        for record in self._store.deployments():
            if record.shown.job == job_id and record.shown.state not in AT_REST:
                job = self._jobs.get(job_id)
                why = job.reason or (job.problem.detail if job.problem else job.state)
                begun = await self._reverter.begin(
                    record.shown.id, by="roost", why=why, problem=job.problem
                )
                await self._submit(REVERT, begun)

    async def _leave_stuck(self, job: Job) -> None:
        for record in self._store.deployments():
            if record.shown.job == job.id and record.shown.state == "reverting":
                problem = ProblemError(
                    "deploy.stuck",
                    f"the way back ended: {job.reason or job.state}",
                    params={"job": job.id},
                    hint="Go on with it: roost workload resolve NODE NAME --keep-old",
                )
                await self._reverter.stuck(record.shown.id, job.problem or problem.problem())

    async def _pick_up(self) -> None:
        """Deployments that an agent before left without a job, which a crash can do."""
        while True:
            try:
                await self._open()
                jobs = {job.id: job for job in self._jobs.newest()}
                for record in self._store.deployments():
                    job = jobs.get(record.shown.job or "")
                    if record.shown.state in AT_REST or (job and job.state not in ENDED):
                        continue
                    why = "the agent ended before it had begun"
                    begun = await self._reverter.begin(record.shown.id, by="roost", why=why)
                    await self._submit(REVERT, begun)
            except ProblemError as problem:
                log.info("deployments are not looked at yet: %s", problem.detail)
                await asyncio.sleep(LOOK_AGAIN_SECONDS)
            else:
                return

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _logged(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("seeing to a deployment failed")


def _record(
    deployment_id: str, planned: Planned, options: DeployOptions, *, asked: str, owner: str
) -> DeploymentRecord:
    now = time.time()
    lost = {each.name: each.lost for each in planned.answer.workloads}
    return DeploymentRecord(
        shown=Deployment(
            id=deployment_id,
            release=planned.answer.release,
            state="planned",
            owner=owner,
            created_at=now,
            options=options,
            workloads=[
                DeployedWorkload(
                    name=part.name,
                    strategy=part.strategy,
                    gpus=part.gpus,
                    gpu_way=part.gpu_way,
                    old=None if part.old is None else part.old.id,
                    lost=lost.get(part.name, []),
                )
                for part in planned.parts
            ],
            history=[StateChange(state="planned", at=now, by=owner)],
        ),
        asked=asked,
        parts=planned.parts,
    )


def _digest(*pieces: bytes) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(len(piece).to_bytes(8, "big") + piece)
    return digest.hexdigest()
