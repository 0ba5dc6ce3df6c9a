"""A deployment, from planned to done.

Each state is on disk before anything of it is done, and each step looks before it acts: whoever
takes up the deployment after a `kill -9` goes on in the state that is written down.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec

from agent.containers.runtime import NodeRuntime
from agent.protocol.deployments import Deployment, DeploymentState
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.workloads.attempt import Attempt, OverruledError, Progress
from agent.workloads.candidates import LOOK_SECONDS, Candidates
from agent.workloads.containers import Containers, spare_name
from agent.workloads.fronts import ALL, Fronts
from agent.workloads.gpu_check import GpuCheck, GpuSeen
from agent.workloads.lease import BootClock, counted, seconds_left, taken_up
from agent.workloads.patience import (
    MARGIN_SECONDS,
    confirm_seconds,
    longest_soak,
    soak_seconds,
    start_seconds,
)
from agent.workloads.probing import Prober
from agent.workloads.records import (
    DeploymentRecord,
    Part,
    WorkloadRecord,
    WorkloadStore,
    moved,
    weighing,
)

COUNT_LEASE_SECONDS = 15.0
# Looks in a row in which a candidate that was well may fail its probes.
MISSES = 3
PREPARE_SECONDS = 900.0


class Machine:
    """Drives deployments of one node forward. Whatever fails is raised: reverting is for others."""

    def __init__(
        self,
        *,
        runtime: NodeRuntime,
        store: WorkloadStore,
        containers: Containers,
        facts: Callable[[], NodeFacts],
        check: GpuCheck,
        prober: Prober,
        boot_clock: BootClock,
        fronts: Fronts,
    ) -> None:
        self._runtime, self._store, self._containers = runtime, store, containers
        self._fronts = fronts
        self._facts, self._check, self._prober = facts, check, prober
        self._boot_clock = boot_clock

    async def forward(self, deployment_id: str, progress: Progress) -> Deployment:
        """Go on until it is done.

        Raises:
            ProblemError: `deploy.*`, `gpu.*`, `image.*`, `runtime.*`, `store.*`: it shall revert.
            OverruledError: it is not this caller's any more.
        """
        attempt = Attempt(self._store, deployment_id, progress)
        candidates = Candidates(
            attempt,
            self._containers,
            facts=self._facts,
            check=self._check,
            prober=self._prober,
        )
        steps: dict[DeploymentState, Callable[[Attempt, Candidates], Awaitable[None]]] = {
            "planned": self._prepare,
            "preparing": self._prepare,
            "prepared": self._start,
            "starting": self._start,
            "probing": self._probe,
            "canary": self._soak,
            "confirming": self._confirm,
        }
        while step := steps.get(attempt.state):
            await step(attempt, candidates)
        if attempt.state != "done":
            raise OverruledError(f"it is {attempt.state}")
        return attempt.record.shown

    async def _prepare(self, attempt: Attempt, candidates: Candidates) -> None:
        """No downtime: what is missing is found before anything is touched."""
        await attempt.enter("preparing", PREPARE_SECONDS)
        for number in _changing(attempt):
            part = attempt.record.parts[number]
            candidates.check_gpus(part)
            await self._fronts.check(attempt, part)
            await attempt.do(self._runtime.image, part.recipe.image)
            for made in await attempt.do(self._containers.prepare, part.recipe):
                attempt.log(f"{part.name}: {made} made")
        await attempt.enter("prepared", MARGIN_SECONDS)

    async def _start(self, attempt: Attempt, candidates: Candidates) -> None:
        await attempt.enter("starting", start_seconds(attempt.record.parts))
        for number in _changing(attempt):
            part = attempt.record.parts[number]
            candidates.check_gpus(part)
            new = await self._make(attempt, part)
            await _write_new(attempt, number, new)
            if part.old is None or part.strategy == "stop-then-start":
                await self._swap(attempt, part, new)
            attempt.log(f"{part.name}: starts")
            await candidates.start(part, new)
            if part.awaited != "started":
                await candidates.until_well(part, new)
        await attempt.enter("probing", start_seconds(attempt.record.parts))

    async def _probe(self, attempt: Attempt, candidates: Candidates) -> None:
        await attempt.enter("probing", start_seconds(attempt.record.parts))
        for number in range(len(attempt.record.parts)):
            part, new = attempt.record.parts[number], _new(attempt, number)
            if not part.tried:
                continue
            container = await candidates.until_well(part, new)
            seen = await candidates.gpus_seen(part, container)
            if seen is not None:
                attempt.log(f"{part.name}: {seen.what}")
                await _write_seen(attempt, number, seen)
            await self._fronts.beside(attempt, part, new)
        await attempt.enter("canary", soak_seconds(attempt.record.parts))

    async def _soak(self, attempt: Attempt, candidates: Candidates) -> None:
        await attempt.enter("canary", soak_seconds(attempt.record.parts))
        for number in _changing(attempt):
            part, new = attempt.record.parts[number], _new(attempt, number)
            if part.shifts:
                continue
            if part.old is not None and part.old.front and part.front:  # no other has the port
                await self._fronts.hand_over(attempt, part, new)
            await self._swap(attempt, part, new)  # after start-then-stop
            await self._fronts.hand_over(attempt, part, new)
        await self._share(attempt, _weight(attempt.record), anew=True)
        await attempt.change(lambda record: taken_up(record, self._boot_clock))
        soaked_at = time.monotonic() + longest_soak(attempt.record.parts)
        misses, counted_at = 0, time.monotonic()
        while True:
            why = await self._first_unwell(attempt, candidates)
            misses = misses + 1 if why and not candidates.coming_up else 0
            if misses >= MISSES:
                raise ProblemError(
                    "deploy.unwell", str(why), hint="It was well before, and is not any more."
                )
            record = attempt.refresh()
            soaked = time.monotonic() >= soaked_at and not why
            if soaked and (record.shown.confirmed or record.shown.options.confirm == "auto"):
                break
            await self._keep_lease(attempt, record)
            await self._share(attempt, _weight(attempt.record))
            if time.monotonic() - counted_at >= COUNT_LEASE_SECONDS:
                counted_at = time.monotonic()
                await attempt.change(lambda record: counted(record, self._boot_clock))
            await asyncio.sleep(LOOK_SECONDS)
        await attempt.enter("confirming", confirm_seconds(attempt.record.parts))

    async def _confirm(self, attempt: Attempt, candidates: Candidates) -> None:
        del candidates
        await attempt.enter("confirming", confirm_seconds(attempt.record.parts))
        for number in _changing(attempt):
            part = attempt.record.parts[number]
            # All this is so already, unless a person said to keep what failed.
            new = await self._make(attempt, part)
            await _write_new(attempt, number, new)
            if part.shifts:
                await attempt.do(self._containers.keep_running, new)
        await self._share(attempt, ALL)
        for number in _changing(attempt):
            part, new = attempt.record.parts[number], _new(attempt, number)
            await self._fronts.drain(attempt, part, new)
            await self._swap(attempt, part, new)
            await self._fronts.settle(attempt, part, new)
            if part.awaited != "completed":
                await attempt.do(self._containers.keep_running, new)
            await attempt.do(self._containers.set_policy, new, part.recipe)
            if part.kept_before is not None:
                await attempt.do(self._containers.remove, part.kept_before)
        await attempt.change(
            lambda record: moved(record, "done", at=time.time(), by=record.shown.owner),
            workloads=lambda record: [
                confirmed(record, part, self._store.workload(part.name)) for part in record.parts
            ],
        )

    async def _first_unwell(self, attempt: Attempt, candidates: Candidates) -> str | None:
        for number in _changing(attempt):
            part = attempt.record.parts[number]
            why = await candidates.unwell(part, _new(attempt, number))
            why = why or await self._fronts.refused(attempt, part)
            if why is not None:
                return why
        return None

    async def _make(self, attempt: Attempt, part: Part) -> str:
        """The candidate, in the network of another workload's where it shares one.

        Raises:
            ProblemError: also `workload.no_network`.
        """
        name, owner = part.recipe.network_of, None
        if name is not None:
            known = self._store.workload(name)
            owner = known.stable if known else None
            owner = next((each.new for each in attempt.record.parts if each.name == name), owner)
            if owner is None:
                raise no_network(part.name, name)
        return await attempt.do(self._containers.make, part, attempt.id, owner)

    async def _share(self, attempt: Attempt, percent: int, *, anew: bool = False) -> None:
        """So many new requests go to the candidates; `shown.weight` says so once it holds.

        Args:
            anew: also where it says so: the proxy may have lost it while no agent was there.
        """
        numbers = [each for each in _changing(attempt) if attempt.record.parts[each].shifts]
        weight = percent if numbers else None
        holds = attempt.record.shown.weight == weight
        if holds and not anew:
            return
        for number in numbers:
            part, new = attempt.record.parts[number], _new(attempt, number)
            await self._fronts.share(attempt, part, new, weight=percent)
            if not holds:
                attempt.log(f"{part.name}: {percent} % of new requests go to the new container")
        if not holds:
            await attempt.change(lambda record: weighing(record, weight))

    async def _swap(self, attempt: Attempt, part: Part, new: str) -> None:
        """The old one stops, and the new one has the name."""
        await self._fronts.give_up(attempt, part)
        if part.old is not None:
            await attempt.do(self._containers.stop, part.old.id)
            kept = spare_name(part.name, "kept", attempt.id)
            await attempt.do(self._containers.name, part.old.id, kept)
        await attempt.do(self._containers.name, new, part.name)

    async def _keep_lease(self, attempt: Attempt, record: DeploymentRecord) -> None:
        """Only where somebody has to confirm can the lease run out."""
        if record.shown.options.confirm == "auto":
            return
        left = seconds_left(record, self._boot_clock)
        if left <= 0:
            raise ProblemError(
                "deploy.unconfirmed",
                f"nobody confirmed it within {record.shown.options.confirm_within:g} s",
                hint="Deploy it again, and confirm it: roost workload confirm NODE NAME",
            )
        await attempt.enter("canary", left + MARGIN_SECONDS)


def no_network(workload: str, owner: str) -> ProblemError:
    """Whose network it shall share is not there."""
    return ProblemError(
        "workload.no_network",
        f"{workload}: there is no {owner} here whose network it could be in",
        params={"workload": workload, "network": owner},
        hint="Apply both in one file, or name a container that runs on the node.",
    )


def _changing(attempt: Attempt) -> list[int]:
    """The parts that have another container then; the rest is only written down."""
    return [number for number, part in enumerate(attempt.record.parts) if not part.stays]


def _new(attempt: Attempt, number: int) -> str:
    new = attempt.record.parts[number].new
    if new is None:  # it is written down before "probing" is
        raise OverruledError(f"{attempt.record.parts[number].name} has no candidate")
    return new


async def _write_new(attempt: Attempt, number: int, new: str) -> None:
    def with_new(record: DeploymentRecord) -> DeploymentRecord:
        record.parts[number].new = new
        record.shown.workloads[number].new = new
        return record

    if attempt.record.parts[number].new != new:
        await attempt.change(with_new)


async def _write_seen(attempt: Attempt, number: int, seen: GpuSeen) -> None:
    def with_seen(record: DeploymentRecord) -> DeploymentRecord:
        shown = record.shown.workloads[number]
        shown.gpu_checked, shown.gpu_check = seen.how, seen.what
        return record

    await attempt.change(with_seen)


def _weight(record: DeploymentRecord) -> int:
    """Percent for the candidates: as told; before that, nothing where somebody steers."""
    if record.weight_told is not None:
        return record.weight_told
    return 0 if record.shown.options.steered_by else 100


def confirmed(
    record: DeploymentRecord, part: Part, before: WorkloadRecord | None
) -> WorkloadRecord:
    """A workload as it is once its deployment is done."""
    kept = None if part.old is None else part.old.id
    return msgspec.structs.replace(
        before or WorkloadRecord(name=part.name),
        release=record.shown.release,
        stable=part.new,
        recipe=part.recipe,
        gpu=part.gpu,
        gpus=part.gpus,
        gpu_way=part.gpu_way,
        restarts_with=part.restarts_with,
        deployment=record.shown.id,
        kept=part.kept_before if part.stays else kept,
        front=part.front,
        applied=part.applied,
    )
