"""The containers of a simulated node: video analytics, one detector per GPU or MIG instance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random

from agent.gpu.simulated import MEBIBYTE, SimulatedGpu, Worker
from agent.protocol.containers import Container, ContainerFigures
from agent.protocol.decoding import from_plain
from agent.rules.chance import repeatable
from agent.simulation.pattern import Pattern
from agent.simulation.plan import NodePlan

RESTARTS_OF_THE_LOST = 41


class SimulatedContainer:
    """A container as the node starts with it, and the load of its processes."""

    def __init__(
        self,
        container: Container,
        pattern: Pattern,
        *,
        cores: float,
        memory_bytes: int,
        process_count: int,
    ) -> None:
        self.container = container
        self._pattern = pattern
        self._cores = cores
        self._memory_bytes = memory_bytes
        self._process_count = process_count

    def again(self, container: Container) -> SimulatedContainer:
        """Another container under the same load."""
        return SimulatedContainer(
            container,
            self._pattern,
            cores=self._cores,
            memory_bytes=self._memory_bytes,
            process_count=self._process_count,
        )

    def figures(self, at: float) -> ContainerFigures:
        """What it uses at `at`, Unix seconds, while it runs."""
        return ContainerFigures(
            id=self.container.id,
            cpu_percent=100 * self._cores * self._pattern.load(at),
            memory_used_bytes=int(self._memory_bytes * (0.8 + 0.2 * self._pattern.heat(at))),
            process_count=self._process_count,
        )


def later_container(
    plan: NodePlan, container: Container, name: str, like: SimulatedContainer | None
) -> SimulatedContainer:
    """A container that was made later, under the load of the one that it stands for, if any."""
    if like is not None:
        return like.again(container)
    chance = repeatable(f"{plan.seed}/container/{name}/later")
    pattern = Pattern(
        f"{plan.seed}/container/{name}",
        peak=chance.uniform(0.3, 0.8),
        utc_offset_seconds=plan.utc_offset_hours * 3600,
    )
    return SimulatedContainer(
        container,
        pattern,
        cores=chance.uniform(0.2, 2.0),
        memory_bytes=chance.randrange(80, 2000) * MEBIBYTE,
        process_count=chance.randrange(1, 12),
    )


def build_containers(
    plan: NodePlan, gpus: Sequence[SimulatedGpu], *, at: float
) -> tuple[list[SimulatedContainer], list[Worker]]:
    """The containers, and which of them compute on which GPU.

    Args:
        at: Now; they were started some hours before.
    """
    chance = repeatable(f"{plan.seed}/containers")
    made = _Maker(plan, chance, at)
    workers: list[Worker] = []
    for each, slice_index in _places(plan, gpus):
        detector = made.detector(each, slice_index, number=len(workers))
        if each is not None:
            workers.append(
                Worker(
                    gpu_index=each.gpu.index,
                    container=detector.id,
                    pid=chance.randrange(2_000, 60_000),
                    name="/usr/bin/detector",
                    slice_index=slice_index,
                )
            )
    made.plain("ingest", cores=2.5, megabytes=1400, processes=9)
    made.plain("gateway", cores=0.3, megabytes=90, processes=5, ports=["0.0.0.0:8080->8080/tcp"])
    if plan.fault == "disk-full":
        made.plain("recorder", cores=0.5, megabytes=250, processes=3, failed=True)
    made.plain("model-fetch", cores=0.1, megabytes=60, processes=1, done=True)
    return made.made, workers


def _places(
    plan: NodePlan, gpus: Sequence[SimulatedGpu]
) -> list[tuple[SimulatedGpu | None, int | None]]:
    """Where detectors run: a GPU and the number of its MIG instance."""
    if not gpus:
        # A driver that does not match is not read, yet what ran on it goes on.
        return [(None, None)] * plan.kind.gpu_count
    return [
        (each, index if each.gpu.mig_instances else None)
        for each in gpus
        for index in range(max(1, len(each.gpu.mig_instances)))
    ]


class _Maker:
    def __init__(self, plan: NodePlan, chance: Random, at: float) -> None:
        self._plan, self._chance, self._at = plan, chance, at
        self.made: list[SimulatedContainer] = []

    def detector(
        self, each: SimulatedGpu | None, slice_index: int | None, *, number: int
    ) -> Container:
        """On one GPU or MIG instance; on an unknown GPU if None."""
        way = self._plan.kind.gpu_way
        if each is None or way == "runtime":
            asked = ["all"]
        elif slice_index is None:
            asked = [each.gpu.uuid]
        else:
            asked = [each.gpu.mig_instances[slice_index].uuid]
        cuda = self._plan.kind.driver.cuda_version if self._plan.kind.driver else "none"
        container = self._container(
            f"detector-{number}",
            image=f"edge/detector:2.4.1-cuda{cuda}",
            gpus=asked,
            gpu_way=way,
            health="healthy",
        )
        if each is not None and each.lost:
            container.state, container.health = "restarting", "none"
            container.exit_code, container.restart_count = 1, RESTARTS_OF_THE_LOST
            container.started_at, container.finished_at = self._at - 20, self._at - 18
        elif self._plan.fault == "xid-storm":
            container.health, container.restart_count = "unhealthy", 7
        self._add(container, cores=1.2, megabytes=2100, processes=14)
        return container

    def plain(
        self,
        name: str,
        *,
        cores: float,
        megabytes: int,
        processes: int,
        ports: Sequence[str] = (),
        done: bool = False,
        failed: bool = False,
    ) -> None:
        """One without a GPU; `done` has ended well, `failed` has not."""
        container = self._container(name, image=f"edge/{name}:1.9.0", ports=list(ports))
        if done or failed:
            container.state = "exited"
            container.exit_code = 1 if failed else 0
            container.finished_at = (container.started_at or self._at) + 40
        self._add(container, cores=cores, megabytes=megabytes, processes=processes)

    def _container(self, name: str, *, image: str, **more: object) -> Container:
        started = float(int(self._at - self._chance.uniform(2, 400) * 3600))
        fields: dict[str, object] = {
            "id": f"{self._chance.getrandbits(256):064x}",
            "name": name,
            "image": image,
            "image_id": f"sha256:{hashlib.sha256(image.encode()).hexdigest()}",
            "state": "running",
            "created_at": started - 3,
            "started_at": started,
            "labels": {"simulated": "true"},
            "command": f"/usr/bin/{name.partition('-')[0]}",
        }
        return from_plain(fields | more, Container)

    def _add(self, container: Container, *, cores: float, megabytes: int, processes: int) -> None:
        pattern = Pattern(
            f"{self._plan.seed}/container/{container.name}",
            peak=self._chance.uniform(0.5, 0.9),
            utc_offset_seconds=self._plan.utc_offset_hours * 3600,
        )
        self.made.append(
            SimulatedContainer(
                container,
                pattern,
                cores=cores,
                memory_bytes=megabytes * MEBIBYTE,
                process_count=processes,
            )
        )
