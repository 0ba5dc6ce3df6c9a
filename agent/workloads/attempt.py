"""One job's hold on one deployment: what it writes down, and whether it still may act."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import ParamSpec, Protocol, TypeVar

from agent.protocol.deployments import DeploymentState
from agent.protocol.problems import ProblemError
from agent.workloads.records import DeploymentRecord, WorkloadRecord, WorkloadStore, moved

P = ParamSpec("P")
T = TypeVar("T")

AGAIN_SECONDS = 1.0  # while the runtime is away


class Progress(Protocol):
    """What is used of `agent.jobs.work.Work`."""

    async def stage(self, name: str, deadline_seconds: float) -> None: ...

    def log(self, text: str) -> None: ...


class OverruledError(Exception):
    """Somebody else took the deployment over: a revert, or a person."""


class Attempt:
    """The deployment in the generation in which it was taken up.

    Before each side effect the generation is looked at again: a revert raises it first, and from
    then on whoever worked on the deployment does nothing more.
    """

    def __init__(self, store: WorkloadStore, deployment_id: str, progress: Progress) -> None:
        """Raises ProblemError `deployment.not_found`."""
        self.record = store.deployment(deployment_id)
        self._store, self._progress = store, progress
        self._generation = self.record.generation
        self.runtime_was_away = False  # what ran may have ended with it

    @property
    def id(self) -> str:
        return self.record.shown.id

    @property
    def state(self) -> DeploymentState:
        return self.record.shown.state

    def log(self, text: str) -> None:
        """A line of the job's log."""
        self._progress.log(text)

    async def enter(self, state: DeploymentState, deadline_seconds: float) -> None:
        """Be in this state: it is on disk when this returns. Also to move its deadline.

        Raises:
            OverruledError; ProblemError `store.*`.
        """
        if self.state != state:
            await self.change(
                lambda record: moved(record, state, at=time.time(), by=record.shown.owner)
            )
        else:
            self.refresh()
        await self._progress.stage(state, deadline_seconds)

    async def change(
        self,
        make: Callable[[DeploymentRecord], DeploymentRecord],
        *,
        workloads: Callable[[DeploymentRecord], list[WorkloadRecord]] = lambda _: [],
        forget: list[str] | None = None,
    ) -> None:
        """Write the deployment as `make` makes it. Raises as `enter` does."""

        def fenced(record: DeploymentRecord) -> DeploymentRecord:
            if record.generation != self._generation:
                raise OverruledError("it was taken over")
            return make(record)

        self.record = await self._store.change(
            self.id, fenced, workloads=workloads, forget=forget or ()
        )

    def refresh(self) -> DeploymentRecord:
        """The deployment as it is now: others write its confirmation. Raises OverruledError."""
        record = self._store.kept(self.id)
        if record.generation != self._generation:
            raise OverruledError("it was taken over")
        self.record = record
        return record

    async def do(self, act: Callable[P, Awaitable[T]], *arguments: P.args, **named: P.kwargs) -> T:
        """A side effect, or a look: while the runtime is away it is tried again, until the
        state's deadline.

        Raises:
            OverruledError, and whatever `act` raises.
        """
        while True:
            self.refresh()
            try:
                return await act(*arguments, **named)
            except ProblemError as problem:
                if problem.code != "runtime.unreachable":
                    raise
                if not self.runtime_was_away:
                    self.log(f"{problem.detail}; it is tried again")
                self.runtime_was_away = True
            await asyncio.sleep(AGAIN_SECONDS)
