"""The job `workload.restart`: the same container once more, and whether it stays well."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from agent.jobs.kind import JobKind, SkippedError
from agent.jobs.work import Work
from agent.protocol.containers import Container
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuProbe
from agent.workloads.containers import RUNNING, Containers
from agent.workloads.gpu_check import GpuCheck
from agent.workloads.probing import Prober
from agent.workloads.records import Part, WorkloadRecord, WorkloadStore

RESTART = "workload.restart"
# Its own grace period, and a runtime that is slow.
RESTART_SECONDS = 300.0
LOOK_SECONDS = 0.5
MARGIN_SECONDS = 60.0
# In a row, while it should stay well.
MISSES = 3
LAST_LINES = 5


class RestartWork(msgspec.Struct, kw_only=True):
    """A workload whose container is to be restarted."""

    workload: str


class RestartKind(JobKind[RestartWork]):
    """Restarts the stable container. It is not taken back: the one before is no other."""

    name = RESTART
    request_type = RestartWork
    resumable = True
    joins = True
    at_once = None
    cancel_seconds = RESTART_SECONDS

    def __init__(
        self,
        *,
        store: WorkloadStore,
        containers: Containers,
        facts: Callable[[], NodeFacts],
        check: GpuCheck,
        prober: Prober,
    ) -> None:
        self._store, self._containers, self._facts = store, containers, facts
        self._check, self._prober = check, prober
        self._under_way: dict[str, asyncio.Event] = {}  # by workload; set at the end

    async def let_go(self, workload: str) -> None:
        """Wait until no restart of this workload is in the middle of it."""
        if workload in self._under_way:
            await self._under_way[workload].wait()

    def subject(self, request: RestartWork) -> str:
        return request.workload

    def locks(self, request: RestartWork) -> Sequence[str]:
        return [f"workload:{request.workload}"]

    async def run(self, work: Work[RestartWork]) -> dict[str, str]:
        name = work.request.workload
        ended = self._under_way[name] = asyncio.Event()
        try:
            return await self._run(work)
        finally:
            del self._under_way[name]
            ended.set()

    async def _run(self, work: Work[RestartWork]) -> dict[str, str]:
        record = self._store.workload(work.request.workload)
        if record is None:
            raise SkippedError(f"{work.request.workload} is no workload any more")
        part = self._store.held_to(record)
        if part is None:
            raise SkippedError(f"{record.name} has no recipe")
        await work.stage("restarting", RESTART_SECONDS)
        if record.stable is None or await self._containers.find(record.stable) is None:
            raise ProblemError(
                "container.not_found",
                f"{record.name}: its container was removed by somebody",
                params={"workload": record.name},
                hint="Apply its file again, or go back: roost workload undo NODE NAME",
            )
        await self._containers.restart(record.stable)
        work.log(f"{record.name}: restarted")
        await work.stage("probing", part.start_deadline + MARGIN_SECONDS)
        container = await self._until_well(part, record.stable)
        seen = await self._gpus(part, container)
        if seen:
            work.log(f"{record.name}: {seen}")
        for follower in self._store.followers([record.name]):
            await self._follow(work, follower)
        await work.stage("soaking", part.soak + MARGIN_SECONDS)
        await self._stays_well(part, record.stable)
        return {record.name: ", ".join(filter(None, ("restarted", *part.gpus, seen)))}

    async def _follow(self, work: Work[RestartWork], record: WorkloadRecord) -> None:
        """Restart one that restarts with it: the network that they share is a new one."""
        part = self._store.held_to(record)
        container = await self._containers.find(record.stable)
        if part is None or container is None or container.state not in RUNNING:
            return  # somebody stopped it
        await work.stage("restarting", RESTART_SECONDS)
        await self._containers.restart(container.id)
        work.log(f"{record.name}: restarted with it")
        await work.stage("probing", part.start_deadline + MARGIN_SECONDS)
        await self._until_well(part, container.id)

    async def _until_well(self, part: Part, container_id: str) -> Container:
        until = time.monotonic() + part.start_deadline
        while True:
            container, why = await self._look(part, container_id)
            if why is None:
                return container
            if time.monotonic() >= until:
                raise await self._problem(
                    part, container_id, f"it is not well after {part.start_deadline:g} s: {why}"
                )
            await asyncio.sleep(LOOK_SECONDS)

    async def _stays_well(self, part: Part, container_id: str) -> None:
        until, misses = time.monotonic() + part.soak, 0
        while time.monotonic() < until or misses:
            _, why = await self._look(part, container_id)
            misses = misses + 1 if why else 0
            if misses >= MISSES:
                raise await self._problem(part, container_id, f"it did not stay well: {why}")
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, part: Part, container_id: str) -> tuple[Container, str | None]:
        """The container, and what is not well with it yet. Raises ProblemError `workload.unwell`.

        One that has ended comes up again by itself where its policy says so: it gets the time.
        """
        container = await self._containers.find(container_id)
        if container is None:
            raise _unwell(part, "somebody removed its container")
        found = await self._prober.look(container, part.probes)
        if found.state == "well" or _completed(part, container):
            return container, None
        if found.state == "unwell" or (found.state == "ended" and not _comes_back(part)):
            raise await self._problem(part, container_id, found.why)
        return container, found.why

    async def _gpus(self, part: Part, container: Container) -> str:
        """What it sees of its GPUs, in words. Raises ProblemError `gpu.not_seen`."""
        if not part.gpus or container.state != "running":
            return ""
        probe = next((each for each in part.probes if isinstance(each, GpuProbe)), None)
        seen = await self._check.look(container, part.gpus, self._facts().gpus, probe)
        if seen.verdict == "wrong":
            raise ProblemError(
                "gpu.not_seen",
                f"{part.name}: {seen.what}",
                params={"workload": part.name, "gpus": part.gpus, "how": seen.how},
                hint="`roost doctor NODE` looks for the cause.",
            )
        return seen.what

    async def _problem(self, part: Part, container_id: str, why: str) -> ProblemError:
        try:
            lines = await self._containers.last_lines(container_id, LAST_LINES)
        except ProblemError:
            lines = []
        said = f"; its last words: {' / '.join(lines)[-300:]}" if lines else ""
        return _unwell(part, f"{why}{said}")


def _comes_back(part: Part) -> bool:
    return part.recipe.restart.get("Name") not in (None, "", "no")


def _completed(part: Part, container: Container) -> bool:
    """Whether it ran to its end as it should."""
    done = container.state == "exited" and container.exit_code == 0
    return done and part.awaited == "completed"


def _unwell(part: Part, why: str) -> ProblemError:
    return ProblemError(
        "workload.unwell",
        f"{part.name}: {why}",
        params={"workload": part.name},
        hint="Read its log: roost container logs NODE NAME. `roost workload undo NODE NAME`"
        " goes back to what ran before its last deployment.",
    )
