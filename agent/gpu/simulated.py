"""GPUs that are not there: boards under a simulated load.

Every figure is a pure function of the time, so the past can be computed too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from agent.gpu.source import Inventory, Reading
from agent.protocol.gpus import (
    Gpu,
    GpuHealth,
    GpuProcess,
    GpuSample,
    GpuStack,
    XidEvent,
)

MEBIBYTE = 1024 * 1024
_MEMORY_STEP = 64 * MEBIBYTE  # allocators take memory in blocks
# What the driver reported in the time before the start is known at the start.
XIDS_BEFORE_START_SECONDS = 300


class Load(Protocol):
    """How busy a GPU is at any time, Unix seconds: 0 to 1."""

    def load(self, at: float) -> float: ...

    def heat(self, at: float) -> float:
        """As a heat sink follows it."""


class MigSlice(msgspec.Struct, kw_only=True, frozen=True):
    """One MIG instance of a board."""

    profile: str
    memory_mebibytes: int


class Board(msgspec.Struct, kw_only=True, frozen=True):
    """A kind of GPU. A figure that the board cannot tell is None."""

    label: str  # the value of the label gpu=
    name: str
    compute_capability: str
    architecture: str
    brand: str | None  # of NVML_BRANDS
    memory_mebibytes: int | None  # None: unified with the system's
    reserved_mebibytes: int | None  # None: this driver does not tell it apart
    power_limit_watts: float | None
    idle_watts: float
    idle_celsius: float
    busy_celsius: float
    slowdown_celsius: float | None
    idle_clock_mhz: int
    top_clock_mhz: int
    memory_clock_mhz: int | None
    fan: bool
    ecc: bool | None
    link: tuple[int, int] | None  # PCIe generation, width
    slices: tuple[MigSlice, ...] = ()


class Worker(msgspec.Struct, kw_only=True, frozen=True):
    """A process of a container that computes on a GPU. `slice_index` counts MIG instances."""

    gpu_index: int
    container: str
    pid: int
    name: str
    slice_index: int | None = None


class SimulatedGpu:
    """One GPU: what it is, and what it does at any time.

    Args:
        gpu: What it is.
        share: Of its memory, what the workers take at the busiest; 0 to 1.
        unknown: The figures that it cannot tell, and why. All of them: it is lost.
    """

    def __init__(
        self,
        gpu: Gpu,
        board: Board,
        load: Load,
        *,
        share: float,
        health: GpuHealth,
        unknown: dict[str, str],
        lost: bool = False,
    ) -> None:
        self.gpu, self.health = gpu, health
        self.lost = lost
        self._board = board
        self._load = load
        self._share = share
        self._unknown = unknown
        self._memory_bytes = gpu.memory_total_bytes or 0

    def held_bytes(self, at: float, worker: Worker, workers: int) -> int:
        """What a worker, one of `workers`, holds: its model, and buffers that follow the load."""
        if worker.slice_index is None:
            total = self._memory_bytes // workers
        else:
            total = self._board.slices[worker.slice_index].memory_mebibytes * MEBIBYTE
        share = self._share * (0.7 + 0.3 * self._load.heat(at))
        return int(share * total) // _MEMORY_STEP * _MEMORY_STEP

    def sample(self, at: float, workers: Sequence[Worker]) -> GpuSample:
        """The figures at `at` (Unix seconds) with those workers running; none: it idles."""
        if self.lost:
            return GpuSample(
                uuid=self.gpu.uuid,
                state="lost",
                reason="GPU is lost: it has fallen off the bus (simulated)",
                unknown=self._unknown,
            )
        board = self._board
        load = self._load.load(at) if workers else 0.0
        heat = self._load.heat(at) if workers else 0.0
        limit, reserved = board.power_limit_watts, board.reserved_mebibytes
        own = board.memory_mebibytes is not None
        used = (reserved or 0) * MEBIBYTE if own else int(0.12 * self._memory_bytes)
        used += sum(self.held_bytes(at, worker, len(workers)) for worker in workers)
        busy = not board.slices
        mhz = board.top_clock_mhz - 15 * int(10 * load) if workers else board.idle_clock_mhz
        return GpuSample(
            uuid=self.gpu.uuid,
            utilization_percent=100 * load if busy else None,
            memory_utilization_percent=38 * load if busy and own else None,
            encoder_percent=0.0 if busy and own else None,
            decoder_percent=70 * load if busy and own else None,
            memory_used_bytes=used,
            memory_reserved_bytes=None if reserved is None else reserved * MEBIBYTE,
            memory_total_bytes=self._memory_bytes,
            temperature_celsius=board.idle_celsius
            + (board.busy_celsius - board.idle_celsius) * heat,
            power_watts=None
            if limit is None
            else board.idle_watts + 0.85 * (limit - board.idle_watts) * load,
            # An average day's power since an epoch of its own: it only has to grow.
            energy_joules=None if limit is None else 0.4 * limit * (at % 31_557_600),
            sm_clock_mhz=mhz,
            memory_clock_mhz=board.memory_clock_mhz,
            fan_percent=30 + 45 * heat if board.fan else None,
            performance_state=None if not own else 0 if workers else 8,
            pcie_replay_count=None if board.link is None else 0,
            unknown=self._unknown,
        )


class SimulatedGpus:
    """A GpuSource over simulated GPUs.

    Args:
        workers: The processes on them now, while their containers run.
        now: The simulation's time, Unix seconds.
        runs: Whether the container of that id is running.
        xids: What the driver reports after one second and until another.
    """

    def __init__(
        self,
        stack: GpuStack,
        gpus: Sequence[SimulatedGpu],
        workers: Callable[[], Sequence[Worker]],
        *,
        now: Callable[[], float],
        runs: Callable[[str], bool],
        xids: Callable[[int, int], list[XidEvent]],
    ) -> None:
        self.gpus = tuple(gpus)
        self._workers = workers
        self._inventory = Inventory(stack=stack, gpus=tuple(each.gpu for each in gpus))
        self._now = now
        self._runs = runs
        self._xids = xids
        self._told_until = int(now()) - XIDS_BEFORE_START_SECONDS

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def inventory(self) -> Inventory:
        return self._inventory

    async def read(self) -> Reading:
        at = self._now()
        samples: list[GpuSample] = []
        processes: list[GpuProcess] = []
        for each in self.gpus:
            workers = self.workers_of(each)
            samples.append(each.sample(at, workers))
            if not each.lost:
                processes += [_process(each, worker, at, len(workers)) for worker in workers]
        return Reading(samples=tuple(samples), processes=tuple(processes))

    async def health(self) -> tuple[GpuHealth, ...]:
        return tuple(each.health for each in self.gpus)

    def take_xids(self) -> list[XidEvent]:
        before, self._told_until = self._told_until, int(self._now())
        return self._xids(before, self._told_until)

    def workers_of(self, each: SimulatedGpu) -> list[Worker]:
        """Those on that GPU whose containers run."""
        return [
            worker
            for worker in self._workers()
            if worker.gpu_index == each.gpu.index and self._runs(worker.container)
        ]


def _process(each: SimulatedGpu, worker: Worker, at: float, workers: int) -> GpuProcess:
    gpu = each.gpu
    known = not gpu.unified_memory  # Tegra does not tell it by process
    return GpuProcess(
        gpu_uuid=gpu.uuid,
        pid=worker.pid,
        name=worker.name,
        memory_used_bytes=each.held_bytes(at, worker, workers) if known else None,
        mig_uuid=(
            None if worker.slice_index is None else gpu.mig_instances[worker.slice_index].uuid
        ),
        container=worker.container,
        unknown={} if known else {"memory_used_bytes": "not_supported"},
    )
