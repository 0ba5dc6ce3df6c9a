"""The job `snapshot.restore`: one after the other, the jobs that bring a node to a state."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from agent.jobs.jobs import Jobs
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.deployments import ApplyRequest
from agent.protocol.engines import BuildRequest
from agent.protocol.images import LoadRequest
from agent.protocol.jobs import ENDED, Job
from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import RESTORE, RestoreRequest
from agent.protocol.workloads import Workload
from agent.snapshots.filling import filled
from agent.workloads.jobs import DEPLOY, REVERT

# Layers may come over a link that is gone for a night, and an engine may take hours.
STEP_SECONDS = 24 * 3600.0
LOOK_SECONDS = 0.5
# A build that the agent's end interrupted is begun again so often.
TRIES = 3


class Images(Protocol):
    async def load(self, request: LoadRequest, *, owner: str, key: str | None) -> Job: ...


class Engines(Protocol):
    async def build(self, request: BuildRequest, *, owner: str, key: str | None) -> Job: ...


class Workloads(Protocol):
    async def remembered(self) -> Mapping[str, Sequence[Workload]]: ...

    async def apply(self, request: ApplyRequest, *, owner: str, key: str | None) -> Job: ...

    async def remove(self, name: str, *, owner: str, key: str | None) -> Job: ...


Begin = Callable[[str], Awaitable[Job]]  # by an Idempotency-Key


class RestoreKind(JobKind[RestoreRequest]):
    """Resumable: each step has a key of its own, by which it is found again."""

    name = RESTORE
    request_type = RestoreRequest
    resumable = True
    joins = True

    def __init__(
        self, *, jobs: Jobs, images: Images, engines: Engines, workloads: Workloads
    ) -> None:
        self._jobs, self._images = jobs, images
        self._engines, self._workloads = engines, workloads
        self._children: dict[str, str] = {}  # the step that each is in
        self._cancelling: set[asyncio.Task[None]] = set()

    def subject(self, request: RestoreRequest) -> str:
        return request.name or request.snapshot

    def alike(self, request: RestoreRequest) -> str | None:
        return request.alike

    def ended(self, job: Job) -> None:
        """Who cancels it means its step, too; after the agent's end both go on."""
        child = self._children.pop(job.id, None)
        if child is not None and self._jobs.get(child).state not in ENDED:
            task = asyncio.create_task(self._cancel(child, by=job.owner))
            self._cancelling.add(task)
            task.add_done_callback(self._cancelling.discard)

    async def _cancel(self, child: str, *, by: str) -> None:
        with contextlib.suppress(ProblemError):  # it has ended meanwhile
            await self._jobs.cancel(child, by=by)

    async def run(self, work: Work[RestoreRequest]) -> dict[str, str]:
        request, owner = work.request, work.job.owner
        result: dict[str, str] = {}
        # All of it before the first step: what lacks a value stops nothing half-way.
        known = await self._workloads.remembered() if request.applies else {}
        applies = [filled(each, known) for each in request.applies]
        steps: list[tuple[str, str, Begin]] = []
        if request.load is not None:
            load = request.load
            steps.append(
                ("loading", "images", lambda key: self._images.load(load, owner=owner, key=key))
            )
        steps += [
            ("building", f"engine {each.recipe.model}", self._build(each, owner))
            for each in request.builds
        ]
        steps += [
            ("applying", what, self._apply(each, owner))
            for what, each in zip(_named(applies), applies, strict=True)
        ]
        steps += [
            ("removing", f"workload {name}", self._remove(name, owner)) for name in request.removes
        ]
        for number, (stage, what, begin) in enumerate(steps):
            await work.stage(stage, STEP_SECONDS)
            result[what] = await self._step(work, number, what, begin)
        return result

    def _build(self, request: BuildRequest, owner: str) -> Begin:
        return lambda key: self._engines.build(request, owner=owner, key=key)

    def _apply(self, request: ApplyRequest, owner: str) -> Begin:
        return lambda key: self._workloads.apply(request, owner=owner, key=key)

    def _remove(self, name: str, owner: str) -> Begin:
        async def begin(key: str) -> Job:
            return await self._workloads.remove(name, owner=owner, key=key)

        return begin

    async def _step(self, work: Work[RestoreRequest], number: int, what: str, begin: Begin) -> str:
        """Do it, or find it done; the id of its job, or how it was there already."""
        for attempt in range(TRIES):
            try:
                job = await begin(f"{work.job.id}-{number}-{attempt}")
            except ProblemError as problem:
                if problem.code == "workload.not_found" and what.startswith("workload "):
                    return "was removed already"
                raise
            work.log(f"{what}: job {job.id}")
            job = await self._ended(work, job)
            ended = f"ended as {job.state}"
            if _taken_back(job):
                ended = "was taken back"
            elif job.state in ("succeeded", "skipped"):
                return job.id
            if job.problem is not None:
                raise ProblemError.from_problem(job.problem)
            if job.state != "interrupted":
                break
            work.log(f"{what}: {job.reason or 'interrupted'}; it is begun again")
        raise ProblemError(
            "snapshot.step",
            f"{what}: its job {job.id} {ended}",
            params={"job": job.id},
            hint="Run the same restore again: it goes on with what is left.",
        )

    async def _ended(self, work: Work[RestoreRequest], job: Job) -> Job:
        self._children[work.job.id] = job.id
        while job.state not in ENDED:
            if job.done is not None:
                work.progress(job.done, job.total, job.unit)
            await asyncio.sleep(LOOK_SECONDS)
            job = self._jobs.get(job.id)
        return job


def _taken_back(job: Job) -> bool:
    """A deployment, by somebody else: its job had nothing left to do, or another one undid it."""
    return job.kind == REVERT or (job.kind == DEPLOY and job.state == "skipped")


def _named(applies: Sequence[ApplyRequest]) -> list[str]:
    """What each is called in the job: a release that comes in several goes has its workloads."""
    several = Counter(each.release for each in applies)
    return [
        f"release {each.release}"
        if several[each.release] == 1
        else f"release {each.release}: {', '.join(one.name for one in each.workloads)}"
        for each in applies
    ]
