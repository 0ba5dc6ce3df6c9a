"""Deployments of one node: begun, confirmed, taken back, resolved."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial

import msgspec

from agent.jobs.jobs import Jobs
from agent.protocol.deployments import (
    AT_REST,
    DeployedWorkload,
    Deployment,
    DeploymentState,
    DeployOptions,
    ResolveRequest,
    StateChange,
)
from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from agent.workloads.jobs import (
    DEPLOY,
    REMOVE,
    REVERT,
    DeployKind,
    DeploymentWork,
    RevertKind,
)
from agent.workloads.lease import BootClock, renewed
from agent.workloads.machine import Machine
from agent.workloads.planning import Planned
from agent.workloads.records import DeploymentRecord, WorkloadStore, digest_of, moved
from agent.workloads.restarting import RESTART, RestartKind
from agent.workloads.reverting import Reverter
from agent.workloads.under_way import check_free
from agent.workloads.unfinished import Unfinished


class Deployments:
    """What is done with deployments, by jobs and beside them. Registers its jobs.

    All methods raise ProblemError `store.*` beside what they say.
    """

    def __init__(
        self,
        *,
        jobs: Jobs,
        store: WorkloadStore,
        machine: Machine,
        reverter: Reverter,
        restarts: RestartKind,
        boot_clock: BootClock,
    ) -> None:
        self._jobs, self._store, self._reverter = jobs, store, reverter
        self._boot_clock = boot_clock
        self._unfinished = Unfinished(
            jobs=jobs,
            store=store,
            reverter=reverter,
            submit=partial(self._submit, REVERT),
            seen_to=self._seen_to,
            is_of=self._is_of,
        )
        self._deploys = DeployKind(
            machine=machine, reverter=reverter, taken_back=self._unfinished.take_back
        )
        self._restarts = restarts
        jobs.register(self._deploys)
        jobs.register(restarts)
        jobs.register(
            RevertKind(
                reverter=reverter, let_go=self._let_go, given_up=self._unfinished.leave_stuck
            )
        )
        self._beginning = asyncio.Lock()

    def start(self) -> None:
        """See to deployments that an agent before left without a job."""
        self._unfinished.pick_up()

    async def stop(self) -> None:
        """End what goes on beside the jobs."""
        await self._unfinished.stop()

    async def begin(
        self,
        plan: Callable[[], Awaitable[Planned]],
        options: DeployOptions,
        *,
        asked: str,
        owner: str,
        key: str | None,
        why: str = "",
    ) -> Job:
        """The job of a new deployment, or of the one that `key` asked for before.

        Args:
            plan: makes the plan, when no other deployment is being begun.
            asked: digest of the request: nothing else may come under the same key.
            why: for its history, where no person asked for it.

        Raises:
            ProblemError: the first that `plan` found; `deployment.*`; those of `Jobs.submit`.
        """
        await self._store.load()
        deployment_id = secrets.token_hex(6) if key is None else digest_of(key.encode())[:12]
        async with self._beginning:  # two that want the same GPU are planned in turn
            if self._store.has_deployment(deployment_id):
                return await self._asked_before(deployment_id, asked)
            planned = await plan()
            planned.check()
            names = [part.name for part in planned.parts]
            self._check_idle(names)
            record = _record(deployment_id, planned, options, asked=asked, owner=owner, why=why)
            await self._store.add(record, may=partial(check_free, self._store, names))
            return await self._submit(DEPLOY, record)

    async def confirm(self, deployment_id: str) -> Deployment:
        """It may stay. Idempotent: whether it will is in the answer's state.

        Raises:
            ProblemError: `deployment.not_found`, `store.*`.
        """
        await self._store.load()

        def confirm(record: DeploymentRecord) -> DeploymentRecord | None:
            if record.shown.state in (*AT_REST, "reverting"):
                return None
            shown = msgspec.structs.replace(record.shown, confirmed=True)
            return msgspec.structs.replace(record, shown=shown)

        return (await self._store.change(deployment_id, confirm)).shown

    async def renew(self, deployment_id: str, *, weight: int | None = None) -> Deployment:
        """Whoever steers is still there, and wants this weight. Raises as `confirm`."""
        await self._store.load()

        def renew(record: DeploymentRecord) -> DeploymentRecord | None:
            if record.shown.state != "canary":
                return None
            if weight is not None:
                record = msgspec.structs.replace(record, weight_told=weight)
            return renewed(record, self._boot_clock)

        return (await self._store.change(deployment_id, renew)).shown

    async def revert(self, deployment_id: str, *, by: str, why: str) -> Job:
        """Take a deployment back, also one that is done. It waits for nobody.

        Raises:
            ProblemError: `deployment.not_found`, `deployment.superseded`, `deployment.reverted`,
                `store.*`.
        """
        await self._store.load()
        record = self._store.deployment(deployment_id)
        if record.shown.state == "reverted":
            raise ProblemError(
                "deployment.reverted",
                f"deployment {deployment_id} ({record.shown.release}) was taken back already",
                params={"deployment": deployment_id},
                hint="What ran before it runs. To go further back, apply that file again.",
            )
        begun = await self._reverter.begin(deployment_id, by=by, why=why, may=self._check_newest)
        under_way = record.shown.job
        if under_way is not None and self._jobs.get(under_way).state not in ENDED:
            job = self._jobs.get(under_way)
            if job.kind == REVERT:
                return job
            await self._jobs.cancel(under_way, by=by)
        for job in self._beside({part.name for part in begun.parts}):
            if job.kind == RESTART:
                await self._end(job, by=by)
        return await self._submit(REVERT, begun)

    async def beside(
        self, kind: str, request: msgspec.Struct, workload: str, *, owner: str, key: str | None
    ) -> Job:
        """A job about a workload of which no deployment is under way, and while it runs none is.

        Raises:
            ProblemError: `deployment.*`, and those of `Jobs.submit`.
        """
        async with self._beginning:
            check_free(self._store, [workload])
            return await self._jobs.submit(kind, request, owner=owner, key=key)

    async def resolve(self, workload: str, request: ResolveRequest, *, by: str) -> Job:
        """The way out of `stuck`.

        keep-old: the old containers are back, run they or not. keep-new: the new ones stay, well or
        not. retry: what was tried is tried again.

        Raises:
            ProblemError: `deployment.not_stuck`, and those of `Jobs.submit`.
        """
        await self._store.load()
        stuck = next(
            (
                record
                for record in self._store.deployments()
                if record.shown.state == "stuck"
                and any(part.name == workload for part in record.parts)
            ),
            None,
        )
        if stuck is None:
            raise ProblemError(
                "deployment.not_stuck",
                f"nothing about {workload} is stuck",
                params={"workload": workload},
                hint="`roost workload show NODE NAME` shows where it is.",
            )
        states: dict[str, tuple[DeploymentState, str]] = {
            "keep-old": ("reverting", REVERT),
            "keep-new": ("confirming", DEPLOY),
            "retry": ("prepared", DEPLOY),
        }
        state, kind = states[request.how]

        def resolved(record: DeploymentRecord) -> DeploymentRecord:
            record = moved(record, state, at=time.time(), by=by, why=f"resolve --{request.how}")
            return msgspec.structs.replace(
                record,
                generation=record.generation + 1,
                accepts_old=request.how == "keep-old",
                weight_told=None,
            )

        return await self._submit(kind, await self._store.change(stuck.shown.id, resolved))

    async def _asked_before(self, deployment_id: str, asked: str) -> Job:
        record = self._store.deployment(deployment_id)
        if record.asked != asked:
            raise ProblemError(
                "job.key_reused",
                "the idempotency key was used for another deployment",
                params={"deployment": deployment_id},
                hint="Use a new key for a new request.",
            )
        if record.shown.job is None:  # an agent ended before it had one, or before it was written
            return await self._submit(_kind_of(record), record)
        return self._jobs.get(record.shown.job)

    async def _seen_to(self, deployment_id: str) -> bool:
        """Whether it is at rest or a job is at work on it: also one that a crash kept out of its
        record, and that is in it then."""
        async with self._beginning:  # whose job is about to be written is not left behind
            record = self._store.deployment(deployment_id)
            under_way = {job.id for job in self._jobs.newest() if job.state not in ENDED}
            if record.shown.state in AT_REST or record.shown.job in under_way:
                return True
            kind = _kind_of(record)
            job = self._jobs.known(kind, _work(record), key=_key(record))
            if job is None or job.id not in under_way:
                return False
            await self._submit(kind, record)
            return True

    def _is_of(self, job_id: str, record: DeploymentRecord) -> bool:
        """Also of one that was over before it was written down."""
        if record.shown.job == job_id:
            return True
        job = self._jobs.known(_kind_of(record), _work(record), key=_key(record))
        return job is not None and job.id == job_id

    async def _submit(self, kind: str, record: DeploymentRecord) -> Job:
        """The job that is at work on a deployment from now on."""
        shown = record.shown
        job = await self._jobs.submit(kind, _work(record), owner=shown.owner, key=_key(record))

        def with_job(now: DeploymentRecord) -> DeploymentRecord | None:
            if now.generation != record.generation:
                return None  # it was overruled meanwhile: that one's job is at work
            return msgspec.structs.replace(
                now, shown=msgspec.structs.replace(now.shown, job=job.id)
            )

        await self._store.change(shown.id, with_job)
        return job

    def newest_of(self, workload: str) -> str | None:
        """The newest deployment that is about a workload, also one that was reverted."""
        for record in self._store.deployments():
            if any(part.name == workload for part in record.parts):
                return record.shown.id
        return None

    def _check_idle(self, workloads: Collection[str]) -> None:
        """Nothing else is being done to their containers. Raises ProblemError `job.locked`."""
        for job in self._beside(workloads):
            raise ProblemError(
                "job.locked",
                f"{job.subject}: the job {job.id} ({job.kind}, by {job.owner}) is at work on it",
                params={"job": job.id, "workload": job.subject},
                hint="Wait for it, or cancel it: roost job cancel JOB",
            )

    def _beside(self, workloads: Collection[str]) -> list[Job]:
        """Jobs under way that are about a workload and about no deployment."""
        return [
            job
            for job in self._jobs.newest()
            if job.kind in (REMOVE, RESTART) and job.subject in workloads and job.state not in ENDED
        ]

    async def _end(self, job: Job, *, by: str) -> None:
        """Cancel a job, unless it has ended meanwhile."""
        try:
            await self._jobs.cancel(job.id, by=by)
        except ProblemError as problem:
            if problem.code != "job.ended":
                raise

    async def _let_go(self, deployment: str) -> None:
        await self._deploys.let_go(deployment)
        for part in self._store.deployment(deployment).parts:
            await self._restarts.let_go(part.name)

    def _check_newest(self, record: DeploymentRecord) -> None:
        """Only the newest deployment of a workload can be taken back: it has the old container."""
        for part in record.parts:
            gone = record.shown.state == "done" and self._store.workload(part.name) is None
            newest = self.newest_of(part.name)
            if not gone and newest == record.shown.id:
                continue
            newer = "" if gone or newest is None else f": {self._named(newest)} came after it"
            raise ProblemError(
                "deployment.superseded",
                f"{part.name}: {self._named(record.shown.id)} is not its newest any more{newer}",
                params={"deployment": record.shown.id, "workload": part.name},
                hint="`roost workload show NODE NAME` shows the newest, and what an undo would do.",
            )

    def _named(self, deployment_id: str) -> str:
        shown = self._store.deployment(deployment_id).shown
        return f"deployment {deployment_id} ({shown.release}, by {shown.owner})"


def _work(record: DeploymentRecord) -> DeploymentWork:
    names = [part.name for part in record.parts]
    return DeploymentWork(deployment=record.shown.id, workloads=names)


def _kind_of(record: DeploymentRecord) -> str:
    """Of the job that has to be at work on it."""
    return REVERT if record.shown.state == "reverting" else DEPLOY


def _key(record: DeploymentRecord) -> str:
    """By which that job is found again."""
    return f"{record.shown.id}/{record.generation}"


def _record(
    deployment_id: str,
    planned: Planned,
    options: DeployOptions,
    *,
    asked: str,
    owner: str,
    why: str,
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
            options=msgspec.structs.replace(options, replays={}),
            workloads=[
                DeployedWorkload(
                    name=part.name,
                    strategy=part.strategy,
                    gpus=part.gpus,
                    gpu_way=part.gpu_way,
                    old=None if part.old is None else part.old.id,
                    new=part.new,
                    stays=part.stays,
                    lost=lost.get(part.name, []),
                )
                for part in planned.parts
            ],
            history=[StateChange(state="planned", at=now, by=owner, why=why)],
        ),
        asked=asked,
        parts=planned.parts,
        replays=options.replays,
    )
