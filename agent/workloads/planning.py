"""What a pin or an apply would do to this node, before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from agent.containers.runtime import NodeRuntime
from agent.protocol.containers import Container
from agent.protocol.deployments import DeployPlan, GpuChoice, GpuWay, PinRequest, PlannedWorkload
from agent.protocol.gpus import GpuSample
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuRequest, Workload
from agent.rules.placement import GpuSlot, choose
from agent.rules.variants import Choice
from agent.traffic.traffic import Traffic
from agent.workloads.adopting import adopt
from agent.workloads.can_run import CanRun, warnings_of
from agent.workloads.compiling import hinted
from agent.workloads.containers import inspect_if_there
from agent.workloads.gpu_ways import cdi_names, way_of, without_gpus
from agent.workloads.podman import NOT_TOLD, as_docker_says, check_policies, is_podman
from agent.workloads.recipe import SHARED
from agent.workloads.records import OldContainer, Part, WorkloadStore
from agent.workloads.slots import slots
from agent.workloads.strategies import Memory, choose_strategy, downtime
from agent.workloads.under_way import check_free

Json = Mapping[str, Any]


class Planned(msgspec.Struct, kw_only=True):
    """The answer, and what a deployment is made of."""

    answer: DeployPlan
    parts: list[Part]

    def check(self) -> None:
        """Raises the first of its problems, as ProblemError."""
        for problem in self.answer.problems:
            raise ProblemError.from_problem(problem)


class Planner:
    """Plans for one node. `samples` are the newest figures of its GPUs."""

    def __init__(
        self,
        *,
        runtime: NodeRuntime,
        store: WorkloadStore,
        facts: Callable[[], NodeFacts],
        samples: Callable[[], Sequence[GpuSample]],
        can_run: CanRun,
        traffic: Traffic,
    ) -> None:
        self._runtime, self._store, self._can_run = runtime, store, can_run
        self._traffic = traffic
        self._facts, self._samples = facts, samples

    async def pin(self, name: str, request: PinRequest) -> Planned:
        """The same container again, on other GPUs.

        Raises:
            ProblemError: `container.not_found`, `runtime.*`; what else is wrong is in the plan.
        """
        answer = await self._runtime.inspect(name)
        details = await self._runtime.details(str(answer["Id"]))
        container = details.container
        planned = PlannedWorkload(name=container.name, action="replace")
        plan = DeployPlan(release=f"pin {container.name}", workloads=[planned])
        try:
            part = await self._pin(container, answer, request, planned)
        except ProblemError as problem:
            if problem.code.startswith("runtime."):
                raise
            planned.problems.append(problem.problem())
            return Planned(answer=plan, parts=[])
        return Planned(answer=plan, parts=[part])

    async def _pin(
        self, container: Container, answer: Json, request: PinRequest, planned: PlannedWorkload
    ) -> Part:
        check_free(self._store, [container.name])
        old = await self.found(container, answer, planned)
        bare = without_gpus(old.recipe)
        part = Part(
            name=container.name,
            recipe=bare,
            strategy="stop-then-start",
            gpu=request.gpu,
            restarts_with=old.restarts_with,
            old=old,
            kept_before=self.kept(container.name),
            front=old.front,
        )
        known = self._store.workload(container.name)
        held = self._store.held_to(known) if known and old.managed else None
        part.recipe = hinted(bare, held.gpu if held else None, request.gpu)
        if held is not None:  # what else it was deployed with goes on
            part.probes, part.awaited = held.probes, held.awaited
            part.soak, part.start_deadline = held.soak, held.start_deadline
            part.applied = _pinned(held.applied, request)
        part.soak = part.soak if request.soak is None else request.soak
        if request.start_deadline is not None:
            part.start_deadline = request.start_deadline
        self.place(part, planned)
        await self.judge(part, planned)
        self.order(part, planned, request.strategy)
        await self.check_ports(part)
        way = container.gpu_way if old.gpu_way == "none" else old.gpu_way
        planned.changes.append(
            f"GPUs: {_shown(old.gpus, way)} becomes {_shown(part.gpus, part.gpu_way)}"
        )
        if not old.running:
            planned.warnings.append(f"{container.name} does not run now; it will")
        return part

    async def found(
        self, container: Container, answer: Json, planned: PlannedWorkload
    ) -> OldContainer:
        """A container that is there, as what comes back if the new one fails.

        Raises:
            ProblemError: `pin.auto_remove`, `runtime.*`.
        """
        changed = await self._runtime.changed_paths(container.id)
        others = [
            other
            for each in self._runtime.containers().values()
            if each.id != container.id and each.state == "running"
            # What is known of them is a moment old.
            if (other := await inspect_if_there(self._runtime, each.id)) is not None
        ]
        podman = is_podman(self._facts().runtime)
        adopted = adopt(
            as_docker_says(answer) if podman else answer, changed=changed, others=others
        )
        image = await self._runtime.image(container.image_id)
        planned.lost += adopted.lost
        planned.warnings += adopted.warnings
        known = self._store.workload(container.name)
        managed = known is not None and known.stable == container.id
        recipe, owner = adopted.recipe, None
        if known and managed and known.recipe is not None:
            owner = known.recipe.network_of
        if owner is not None:  # the container may be another one by then
            recipe = recipe.sharing(f"{SHARED}{owner}")
        if podman and not managed:
            planned.warnings.append(NOT_TOLD)
        # What Podman does not say is known of what Roost made.
        told = known if known and managed and podman else None
        return OldContainer(
            id=container.id,
            running=container.state in ("running", "restarting"),
            healthy=container.health,
            recipe=msgspec.structs.replace(recipe, config_digest=image.config_digest),
            managed=managed,
            release=known.release if known and managed else "",
            gpu=known.gpu if known and managed else None,
            restarts_with=known.restarts_with if known and managed else [],
            front=known.front if known and managed else None,
            applied=known.applied if known and managed else None,
            gpus=told.gpus if told else container.gpus,
            gpu_way=told.gpu_way if told else _way(container),
        )

    def kept(self, name: str) -> str | None:
        """The container that is kept until the next deployment is done."""
        known = self._store.workload(name)
        return None if known is None else known.kept

    def place(self, part: Part, planned: PlannedWorkload, *, beside: Sequence[Part] = ()) -> None:
        """Choose its GPUs, and how they get in. `beside` are parts that have theirs already.

        Raises:
            ProblemError: `placement.*`, `gpu.no_way`, `gpu.no_cdi_device`.
        """
        if part.gpu is None:
            return
        facts = self._facts()
        there = self.slots(beside)
        chosen = choose(part.gpu, there, workload=part.name)
        part.gpus = [slot.uuid for slot in chosen]
        part.gpu_way = way_of(facts)
        if part.gpu_way == "cdi":
            cdi_names(facts, part.gpus)
        planned.gpus = [_choice(slot, part.gpu) for slot in chosen]
        planned.gpu_way = part.gpu_way
        planned.warnings += _crowded(chosen, part.gpu)

    async def best_image(self, images: Mapping[str, str]) -> Choice:
        """Which of these runs best here; see `CanRun.best`."""
        return await self._can_run.best(images)

    async def judge(self, part: Part, planned: PlannedWorkload) -> None:
        """Say whether its image can run here, on the GPUs that were chosen."""
        planned.runs = await self._can_run.verdict(part.recipe.image)
        if planned.runs is not None:
            planned.warnings += warnings_of(planned.runs, part.gpus)

    def slots(self, beside: Sequence[Part] = ()) -> list[GpuSlot]:
        """The GPUs of this node as they are, reserved and free."""
        return slots(
            self._facts().gpus,
            self._samples(),
            self._store.workloads(),
            self._store.deployments(),
            beside,
        )

    def order(self, part: Part, planned: PlannedWorkload, wanted: Any) -> None:
        """Choose the strategy, and say what will happen.

        Raises:
            ProblemError: `deploy.strategy`, `deploy.restart_policy`.
        """
        policies = [part.recipe, *([part.old.recipe] if part.old else [])]
        check_policies(self._facts().runtime, part.name, *policies)
        memory = self._memory_for_both(part)
        chosen = choose_strategy(wanted, part, memory_for_both=memory)
        part.strategy = chosen.strategy
        planned.strategy, planned.strategy_why = chosen
        if memory is not None and chosen.strategy == "weighted":
            planned.warnings.append(f"{memory.why}; both run at once")
        planned.steps = _steps(part, planned, self._traffic.shown(part.name))
        planned.downtime = downtime(part)
        planned.if_it_fails = (
            "the new container is removed"
            if part.old is None
            else "the old container is there again as before"
            + (", and runs" if part.old.running else "")
        )

    async def check_ports(self, part: Part) -> None:
        """Whether its proxy can run, and have the ports. Raises ProblemError `traffic.*`."""
        if part.front is not None:
            await self._traffic.check(part.name, part.front.binds - part.published_before)

    def _memory_for_both(self, part: Part) -> Memory | None:
        """Why old and new do not fit at once on the GPUs that they share."""
        if part.old is None or not part.gpus:
            return None
        facts = self._facts()
        named = {gpu.uuid for gpu in facts.gpus if str(gpu.index) in part.old.gpus}
        shared = set(part.gpus) & (set(part.old.gpus) | named)
        if "all" in part.old.gpus:
            shared = set(part.gpus)
        if not shared:
            return None
        figures = {sample.uuid: sample for sample in self._samples()}
        for gpu in facts.gpus:
            used = figures[gpu.uuid].memory_used_bytes if gpu.uuid in figures else None
            if gpu.uuid not in shared:
                continue
            if used is None or gpu.memory_total_bytes is None:
                why = f"how much memory of GPU {gpu.index} is free is not known"
                return Memory(why, known=False)
            if used > gpu.memory_total_bytes / 2:
                why = f"GPU {gpu.index} has too little free memory for both"
                return Memory(why, known=True)
        return None


def _choice(slot: GpuSlot, request: GpuRequest) -> GpuChoice:
    used = slot.memory_used_bytes
    why = request.select if used is None else f"{request.select}; {used / 2**30:.1f} GiB in use"
    return GpuChoice(uuid=slot.uuid, index=slot.index, name=slot.name, why=why)


def _crowded(chosen: Sequence[GpuSlot], request: GpuRequest) -> list[str]:
    """Memory that others use, whoever they are, is not reserved: it may go. It is told."""
    found = []
    for slot in chosen:
        total, used = slot.memory_total_bytes, slot.memory_used_bytes
        if not (request.memory_bytes and total is not None and used is not None):
            continue
        if request.memory_bytes > total - used:
            found.append(
                f"GPU {slot.index} has {(total - used) / 2**30:.1f} GiB free now, which is less"
                f" than the {request.memory_bytes / 2**30:.1f} GiB that are reserved"
            )
    return found


def _way(container: Container) -> GpuWay:
    return "none" if container.gpu_way == "devices" else container.gpu_way


def _pinned(applied: Workload | None, request: PinRequest) -> Workload | None:
    """What was applied, as it is once it is pinned so."""
    if applied is None:
        return None
    return msgspec.structs.replace(
        applied,
        gpu=request.gpu,
        strategy=request.strategy or applied.strategy,
        soak=applied.soak if request.soak is None else request.soak,
        start_deadline=request.start_deadline or applied.start_deadline,
    )


def _shown(gpus: Sequence[str], way: str) -> str:
    return f"{', '.join(gpus)} ({way})" if gpus else "none"


def _steps(part: Part, planned: PlannedWorkload, proxy: str) -> list[str]:
    """In words, in turn."""
    gpus = ", ".join(f"GPU {each.index} {each.name}" for each in planned.gpus)
    on = f" on {gpus} ({part.gpu_way})" if gpus else ""
    make = f"make the new container{on}"
    well = f"wait until it is well, at most {part.start_deadline:g} s"
    check = ["look from inside whether it sees its GPUs, and no other"] if gpus else []
    watch = f"watch it for {part.soak:g} s"
    old_front = None if part.old is None else part.old.front
    give_up = [f"end its proxy ({proxy})"] if part.front is None and old_front else []
    take = [] if part.front is None else [f"its proxy ({proxy}) has port {part.front.shown}"]
    if part.old is None:
        return [make, "start it", well, *check, *take, watch]
    stop = f"stop the old container and keep it as {part.name}.kept-..."
    if part.shifts:
        return [
            make,
            "start it beside the old one",
            well,
            *check,
            f"its proxy ({proxy}) reaches it, and gives it nothing yet",
            "give it its share of new requests: what the rollout says, 100 % without one",
            watch,
            "wait until the old one has answered its requests",
            stop,
        ]
    if part.strategy == "stop-then-start":
        return [make, *give_up, stop, "start the new one", well, *check, *take, watch]
    return [make, "start it beside the old one", well, *check, *give_up, stop, *take, watch]
