"""The jobs `workload.deploy`, `workload.revert` and `workload.remove`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from agent.jobs.kind import JobKind, SkippedError
from agent.jobs.work import Work
from agent.protocol.deployments import DeployedWorkload
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.traffic.traffic import Traffic
from agent.workloads.attempt import OverruledError
from agent.workloads.containers import Containers
from agent.workloads.machine import Machine
from agent.workloads.records import WorkloadStore
from agent.workloads.reverting import Reverter, person_needed

DEPLOY, REVERT, REMOVE = "workload.deploy", "workload.revert", "workload.remove"
_BACK = "What ran before runs again as it was"
_GONE = "Nothing ran there before, and nothing does now"
# A stop that is under way is waited for: what comes after must not cross it.
LET_GO_SECONDS = 120.0
REMOVE_SECONDS = 600.0


class DeploymentWork(msgspec.Struct, kw_only=True):
    """Which deployment; its record has the rest."""

    deployment: str
    workloads: list[str]


class RemoveWork(msgspec.Struct, kw_only=True):
    """A workload that is to be no more."""

    workload: str


class DeployKind(JobKind[DeploymentWork]):
    """Goes on from whatever state is written down; what fails goes back at once."""

    name = DEPLOY
    request_type = DeploymentWork
    resumable = True
    joins = True
    at_once = None
    cancel_seconds = LET_GO_SECONDS

    def __init__(
        self, *, machine: Machine, reverter: Reverter, taken_back: Callable[[Job], None]
    ) -> None:
        """`taken_back` is told of a job that ended without having brought the old one back."""
        self._machine, self._reverter, self._taken_back = machine, reverter, taken_back
        self._under_way: dict[str, asyncio.Event] = {}  # by deployment; set at the end

    async def let_go(self, deployment: str) -> None:
        """Wait until nothing of this deployment is being done any more."""
        if deployment in self._under_way:
            await self._under_way[deployment].wait()

    def subject(self, request: DeploymentWork) -> str:
        return ", ".join(request.workloads)

    def locks(self, request: DeploymentWork) -> Sequence[str]:
        return [f"workload:{name}" for name in request.workloads]

    async def run(self, work: Work[DeploymentWork]) -> dict[str, str]:
        deployment = work.request.deployment
        ended = self._under_way[deployment] = asyncio.Event()
        try:
            return await self._run(work)
        finally:
            del self._under_way[deployment]
            ended.set()

    async def _run(self, work: Work[DeploymentWork]) -> dict[str, str]:
        deployment = work.request.deployment
        try:
            done = await self._machine.forward(deployment, work)
        except OverruledError as error:
            raise SkippedError(str(error)) from None
        except ProblemError as problem:
            work.log(f"{problem.detail}; going back")
            why = problem.problem()
            begun = await self._reverter.begin(
                deployment, by="roost", why=problem.detail, problem=why
            )
            try:
                await take_back(self._reverter, deployment, work)
            except ProblemError as stuck:
                raise ProblemError(
                    stuck.code,
                    f"{problem.detail}. And then: {stuck.detail}",
                    params=stuck.params,
                    hint=stuck.hint,
                ) from problem
            raise ProblemError(
                problem.code,
                f"{problem.detail}. {_BACK if any(each.old for each in begun.parts) else _GONE}",
                params=problem.params,
                hint=problem.hint,
            ) from problem
        return {
            each.name: "the container stays; what the agent reads of it is written down"
            if each.stays
            else ", ".join(filter(None, (*each.gpus, _seen(each))))
            for each in done.workloads
        }

    def ended(self, job: Job) -> None:
        # Skipped: an agent was killed on the way back in this job, and the next one found it so.
        if job.state in ("cancelled", "failed", "interrupted", "skipped"):
            self._taken_back(job)


class RevertKind(JobKind[DeploymentWork]):
    """The way back, as a job of its own: a person, a deadline or a lease asked for it.

    It takes no lock: the one that it would wait for belongs to what it overrules.
    """

    name = REVERT
    request_type = DeploymentWork
    resumable = True
    joins = True
    at_once = None
    cancel_seconds = LET_GO_SECONDS

    def __init__(
        self,
        *,
        reverter: Reverter,
        let_go: Callable[[str], Awaitable[None]],
        given_up: Callable[[Job], None],
    ) -> None:
        """`given_up` is told of a job that ended before the old container was back.

        Args:
            let_go: waits while the overruled job is in the middle of a step: a stop that it
                asked for must not come after the start that is asked for here.
        """
        self._reverter, self._let_go, self._given_up = reverter, let_go, given_up

    def subject(self, request: DeploymentWork) -> str:
        return ", ".join(request.workloads)

    async def run(self, work: Work[DeploymentWork]) -> dict[str, str]:
        await work.stage("waiting", 2 * LET_GO_SECONDS)
        try:
            await self._reverter.hold_back(work.request.deployment, work)
            await self._let_go(work.request.deployment)
            await take_back(self._reverter, work.request.deployment, work)
        except OverruledError as error:
            raise SkippedError(str(error)) from None
        return {}

    def ended(self, job: Job) -> None:
        if job.state in ("cancelled", "failed", "interrupted"):
            self._given_up(job)


def _seen(workload: DeployedWorkload) -> str | None:
    """What was told of its GPUs from inside; that nothing was is a warning."""
    if workload.gpu_checked == "could_not_tell":
        return f"warning: whether it sees them could not be told ({workload.gpu_check})"
    return workload.gpu_check


async def take_back(reverter: Reverter, deployment: str, work: Work[DeploymentWork]) -> None:
    """Go back; what cannot is written down as stuck. Raises ProblemError."""
    try:
        await reverter.back(deployment, work)
    except ProblemError as problem:
        stuck = person_needed(problem)
        await reverter.stuck(deployment, stuck.problem())
        raise stuck from problem


class RemoveKind(JobKind[RemoveWork]):
    """Stops and removes a workload's containers, the kept one too; its volumes stay."""

    name = REMOVE
    request_type = RemoveWork
    resumable = True
    joins = True

    def __init__(self, *, store: WorkloadStore, containers: Containers, traffic: Traffic) -> None:
        self._store, self._containers, self._traffic = store, containers, traffic

    def subject(self, request: RemoveWork) -> str:
        return request.workload

    def locks(self, request: RemoveWork) -> Sequence[str]:
        return [f"workload:{request.workload}"]

    async def run(self, work: Work[RemoveWork]) -> dict[str, str]:
        name = work.request.workload
        record = self._store.workload(name)
        if record is None:
            raise SkippedError(f"{name} is no workload any more")
        await work.stage("removing", REMOVE_SECONDS)
        if record.front is not None:
            await self._traffic.put(name, {})
            work.log("its proxy removed")
        for container_id in filter(None, (record.stable, record.kept)):
            await self._containers.remove(container_id)
            work.log(f"container {container_id[:12]} removed")
        await self._store.remove(name)
        return {name: "removed"}
