"""The way back: what was there runs as before, whatever has happened meanwhile.

It is never gated. It restores what was, also what was unwell, and starts the container that was
kept; only if that is gone is it made again, from the recipe and the image that it had.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from agent.protocol.deployments import Deployment, DeploymentState
from agent.protocol.problems import Problem, ProblemError
from agent.workloads.attempt import Attempt, Progress
from agent.workloads.candidates import not_started
from agent.workloads.containers import Containers
from agent.workloads.fronts import Fronts
from agent.workloads.records import (
    DeploymentRecord,
    OldContainer,
    Part,
    WorkloadRecord,
    WorkloadStore,
    moved,
    weighing,
)

# The runtime may be away for long, and the old container is worth waiting for.
REVERT_SECONDS = 1800.0
WRITE_AGAIN_SECONDS = 5.0
LOG_LINES = 100
RESTORE_TRIES = 5
LOOK_AGAIN_SECONDS = 0.5
_RESOLVE = "roost workload resolve NODE NAME --keep-old, --keep-new or --retry"

log = logging.getLogger(__name__)


class Reverter:
    """Takes deployments of one node back."""

    def __init__(self, store: WorkloadStore, containers: Containers, fronts: Fronts) -> None:
        self._store, self._containers, self._fronts = store, containers, fronts

    async def begin(
        self,
        deployment_id: str,
        *,
        by: str,
        why: str,
        problem: Problem | None = None,
        may: Callable[[DeploymentRecord], None] = lambda _: None,
    ) -> DeploymentRecord:
        """From now on nobody else does anything to it. Repeated, it changes nothing.

        Args:
            may: raises where it may not; nothing is begun between that and the writing.

        Raises:
            ProblemError: `store.*`; `deployment.not_found`; what `may` raises.
        """

        def overruled(record: DeploymentRecord) -> DeploymentRecord | None:
            if record.shown.state in ("reverting", "reverted"):
                return None
            may(record)
            record = moved(record, "reverting", at=time.time(), by=by, why=why)
            shown = msgspec.structs.replace(
                record.shown, problem=problem or record.shown.problem, lease_seconds_left=None
            )
            return msgspec.structs.replace(record, shown=shown, generation=record.generation + 1)

        return await self._store.change(deployment_id, overruled)

    async def hold_back(self, deployment_id: str, progress: Progress) -> None:
        """Before anything is waited for: what fails gets no more requests, where others can.

        Raises:
            OverruledError: it is not this caller's any more.
        """
        attempt = Attempt(self._store, deployment_id, progress)
        for part in attempt.record.parts if attempt.state == "reverting" else ():
            await self._fronts.hold_back(attempt, part)

    async def back(self, deployment_id: str, progress: Progress) -> Deployment:
        """Go back until the old containers are as they were.

        Raises:
            ProblemError: `deploy.stuck`: a person is needed; `store.*`.
            OverruledError: it is not this caller's any more.
        """
        attempt = Attempt(self._store, deployment_id, progress)
        if attempt.state == "reverted":
            return attempt.record.shown
        await attempt.enter("reverting", REVERT_SECONDS)
        restored: dict[str, str] = {}  # container ids by workload
        for part in attempt.record.parts:  # nobody gets what is about to be stopped
            await self._fronts.turn_back(attempt, part)
        if attempt.record.shown.weight is not None:
            await attempt.change(lambda record: weighing(record, 0))
        for part in reversed(attempt.record.parts):  # a port may have gone to another one
            await self._stop_candidate(attempt, part)
        for part in attempt.record.parts:  # who shares a network wants its owner to run
            container_id = await self._restore(attempt, part)
            if container_id is not None:
                restored[part.name] = container_id
                await self._fronts.restore(attempt, part, container_id)
        for part in attempt.record.parts:
            if not part.stays:
                await self._remove_candidate(attempt, part)
        await self._ended(attempt, restored)
        return attempt.record.shown

    async def stuck(self, deployment_id: str, why: Problem) -> None:
        """A person is needed. Raises ProblemError `store.*`."""
        await self._store.change(deployment_id, lambda record: _stuck(record, why))

    async def _restore(self, attempt: Attempt, part: Part) -> str | None:
        """The old container as it was; its id. Somebody may remove it while we are at it."""
        if part.stays:
            return part.new
        for left in reversed(range(RESTORE_TRIES)):
            try:
                return await self._restore_once(attempt, part)
            except ProblemError as problem:
                if problem.code not in ("container.not_found", "container.conflict") or not left:
                    raise
                attempt.log(f"{part.name}: {problem.detail}; it is looked at again")
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        return None

    async def _restore_once(self, attempt: Attempt, part: Part) -> str | None:
        new = await attempt.do(self._containers.candidate, part, attempt.id)
        if new is not None:
            await attempt.do(self._containers.stop, new)
        if part.old is None:
            return None
        container = await attempt.do(self._containers.find, part.old.id)
        if container is None:
            old = await self._again(attempt, part, part.old)
        else:
            old = container.id
        if new is not None:
            await attempt.do(self._step_aside, new, part.name)
        await attempt.do(self._containers.name, old, part.name)
        if part.old.running and not await self._runs(attempt, part, old):
            raise _needs_person(part, "it was started, and does not stay up")
        # Last: a policy would start it while its port still belongs to the new one.
        await attempt.do(self._containers.set_policy, old, part.old.recipe)
        attempt.log(f"{part.name}: {'runs' if part.old.running else 'is there'} as before")
        return old

    async def _runs(self, attempt: Attempt, part: Part, old: str) -> bool:
        """Whether it runs again, or a person takes it as it is."""
        try:
            return (
                await attempt.do(self._containers.keep_running, old) or attempt.record.accepts_old
            )
        except ProblemError as problem:
            if not attempt.record.accepts_old or problem.code.startswith("store."):
                raise (
                    not_started(part, problem) if problem.code == "runtime.refused" else problem
                ) from None
            attempt.log(f"{problem.detail}; it is taken as it is")
            return True

    async def _again(self, attempt: Attempt, part: Part, old: OldContainer) -> str:
        """The old container is gone: once more, without what only it had."""
        lost = f"{part.name}: the old container was removed by somebody; it is made again, without"
        lost += " what was written inside it and without its anonymous volumes"
        attempt.log(lost)

        def told(record: DeploymentRecord) -> DeploymentRecord:
            for shown in record.shown.workloads:
                if shown.name == part.name:
                    shown.lost = [*shown.lost, lost]
            return record

        await attempt.change(told)
        name, owner = old.recipe.network_of, None
        if name is not None:  # it is back already, by its name, or was never away
            known = await attempt.do(self._containers.find, name)
            owner = None if known is None else known.id
        return await attempt.do(self._containers.make_old, part, old, attempt.id, owner)

    async def _stop_candidate(self, attempt: Attempt, part: Part) -> None:
        new = None if part.stays else await attempt.do(self._containers.candidate, part, attempt.id)
        if new is not None:
            await attempt.do(self._containers.stop, new)

    async def _step_aside(self, new: str, name: str) -> None:
        """The candidate gives the name back."""
        container = await self._containers.find(new)
        if container is not None and container.name == name:
            await self._containers.name(new, f"{name}.failed-{new[:6]}")

    async def _remove_candidate(self, attempt: Attempt, part: Part) -> None:
        new = await attempt.do(self._containers.candidate, part, attempt.id)
        if new is None:
            return
        try:
            lines = await self._containers.last_lines(new, LOG_LINES)
        except ProblemError:
            lines = []
        for line in lines:
            attempt.log(f"{part.name}, the new container: {line}")
        await attempt.do(self._containers.remove, new)

    async def _ended(self, attempt: Attempt, restored: dict[str, str]) -> None:
        """Written until it is written: a disk that is full now has space again some day."""
        parts = attempt.record.parts
        gone = [part.name for part in parts if part.old is None or not part.old.managed]
        while True:
            try:
                await attempt.change(
                    lambda record: moved(record, "reverted", at=time.time(), by=record.shown.owner),
                    workloads=lambda record: [
                        reverted(record, part, part.old, restored[part.name])
                        for part in record.parts
                        if part.old is not None and part.name not in gone
                    ],
                    forget=gone,
                )
            except ProblemError as problem:
                if not problem.code.startswith("store."):
                    raise
                log.warning("deployment %s is reverted: %s", attempt.id, problem.detail)
                await asyncio.sleep(WRITE_AGAIN_SECONDS)
            else:
                return


def reverted(
    record: DeploymentRecord, part: Part, old: OldContainer, container_id: str
) -> WorkloadRecord:
    """A workload once its old container is back."""
    # What was kept is removed when another container takes the place.
    removed = any(change.state == "done" for change in record.shown.history) and not part.stays
    return WorkloadRecord(
        name=part.name,
        release=old.release,
        stable=container_id,
        recipe=old.recipe,
        gpu=old.gpu,
        gpus=old.gpus,
        gpu_way=old.gpu_way,
        restarts_with=old.restarts_with,
        deployment=record.shown.id,
        kept=None if removed else part.kept_before,
        front=part.front if part.stays else old.front,
        applied=old.applied,
    )


def _stuck(record: DeploymentRecord, why: Problem) -> DeploymentRecord:
    stuck: DeploymentState = "stuck"
    record = moved(record, stuck, at=time.time(), by=record.shown.owner, why=why.detail)
    return msgspec.structs.replace(record, shown=msgspec.structs.replace(record.shown, problem=why))


def person_needed(problem: ProblemError) -> ProblemError:
    """What keeps the old containers from being back, with the way out."""
    if problem.code == "deploy.stuck" or problem.code.startswith("store."):
        return problem
    hint = f"{problem.hint.rstrip('.')}. Then: {_RESOLVE}" if problem.hint else _RESOLVE
    return ProblemError("deploy.stuck", problem.detail, params=problem.params, hint=hint)


def _needs_person(part: Part, why: str) -> ProblemError:
    return ProblemError(
        "deploy.stuck",
        f"{part.name}: the old container is not as it was: {why}",
        params={"workload": part.name},
        hint=f"Look at its log, then: {_RESOLVE}",
    )
