"""What the containers of a simulated node use, also of those that were made there later."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agent.gpu.simulated import SimulatedGpu, Worker
from agent.protocol.containers import Container, ContainerFigures
from agent.rules.chance import repeatable
from agent.simulation.containers import SimulatedContainer, later_container
from agent.simulation.plan import NodePlan
from agent.workloads.recipe import WORKLOAD


class Loads:
    """The figures of containers, and the processes that they have on GPUs.

    A container that takes another's place, as after a pin, works as that one did.

    Args:
        made: as the node starts, with the workers of these.
        containers: of the runtime; another mapping after every change.
    """

    def __init__(
        self,
        plan: NodePlan,
        gpus: Sequence[SimulatedGpu],
        made: Sequence[SimulatedContainer],
        workers: Sequence[Worker],
        *,
        containers: Callable[[], Mapping[str, Container]],
    ) -> None:
        self._plan, self._gpus, self._containers = plan, gpus, containers
        self._first = {each.container.name: each for each in made}
        self._at_start = frozenset(each.container.id for each in made)
        self._known = {each.container.id: each for each in made}
        self._own = {worker.container: worker for worker in workers}
        self._seen: Mapping[str, Container] = {}
        self._workers: tuple[Worker, ...] = tuple(workers)

    def figures(self, container: Container, at: float) -> ContainerFigures:
        """What it uses at `at`, Unix seconds, while it runs."""
        known = self._known.get(container.id)
        if known is None:
            name = container.labels.get(WORKLOAD, container.name)
            known = later_container(self._plan, container, name, self._first.get(name))
            self._known[container.id] = known
        return known.figures(at)

    def workers(self) -> Sequence[Worker]:
        """All processes on GPUs, whether their containers run or not."""
        containers = self._containers()
        if containers is not self._seen:
            self._seen = containers
            self._workers = tuple(
                worker for each in containers.values() for worker in self._workers_of(each)
            )
            self._known = {one: each for one, each in self._known.items() if one in containers}
        return self._workers

    def _workers_of(self, container: Container) -> list[Worker]:
        own = self._own.get(container.id)
        if own is not None:
            return [own]
        if container.id in self._at_start:
            return []
        command = (container.command or "").split()
        return [
            Worker(
                gpu_index=each.gpu.index,
                container=container.id,
                pid=repeatable(f"{container.id}/{number}").randrange(2_000, 60_000),
                name=command[0] if command else f"/usr/bin/{container.name}",
                slice_index=slice_index,
            )
            for number, (each, slice_index) in enumerate(self._places(container))
        ]

    def _places(self, container: Container) -> list[tuple[SimulatedGpu, int | None]]:
        found: list[tuple[SimulatedGpu, int | None]] = []
        for each in self._gpus:
            names = {each.gpu.uuid, str(each.gpu.index), "all"}
            whole = bool(names & set(container.gpus))
            if not each.gpu.mig_instances:
                found += [(each, None)] if whole else []
                continue
            found += [
                (each, index)
                for index, instance in enumerate(each.gpu.mig_instances)
                if whole or instance.uuid in container.gpus
            ]
        return found
