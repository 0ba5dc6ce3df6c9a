"""Once a second: read the GPUs, the machine and the containers, and keep what was read."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from agent.containers.runtime import ContainerRuntime
from agent.gpu.source import GpuSource, Inventory
from agent.host.source import HostSource
from agent.live.history import HistorySource
from agent.protocol.gpus import GpuHealth, GpuStack, XidEvent
from agent.protocol.telemetry import GPU_METRICS, HostSample, Metric, Telemetry

PERIOD_SECONDS = 1.0
# Driver, MIG layout and slow counters: often enough to see a driver come back.
INVENTORY_EVERY_TICKS = 10
HEALTH_EVERY_TICKS = 60
XIDS_KEPT = 100
# /proc answers at once; a disk that is gone may never.
HOST_LIMIT_SECONDS = 2.0
# Seconds without a sample that the history is told of at most: an hour.
GAP_LIMIT = 3600

log = logging.getLogger(__name__)


class Sampler:
    """Feeds `latest`, `inventory`, `health`, `xids` and the history at 1 Hz.

    `on_tick` is called in the loop after every sample.
    """

    def __init__(
        self,
        *,
        gpu: GpuSource,
        host: HostSource,
        runtime: ContainerRuntime,
        history: HistorySource,
        on_tick: Callable[[], None],
        in_thread: bool = True,
        clock: Callable[[], float] = time.monotonic,
        host_limit_seconds: float = HOST_LIMIT_SECONDS,
    ) -> None:
        """`clock` tells seconds that no one sets; it places samples in the history."""
        self._gpu, self._host, self._runtime = gpu, host, runtime
        self._on_tick = on_tick
        self._in_thread = in_thread
        self._clock = clock
        self._host_limit_seconds = host_limit_seconds
        self._host_reading: asyncio.Task[HostSample] | None = None
        self._first_at: float | None = None
        self._slot = -1  # seconds of the history so far, less one
        self.history = history
        self._ticks = 0
        self.inventory = Inventory(stack=GpuStack(state="error", source="none", reason="starting"))
        self.health: tuple[GpuHealth, ...] = ()
        self.xids: list[XidEvent] = []
        self.latest = Telemetry(at=time.time(), host=HostSample())
        self._encoded: bytes | None = None

    @property
    def sampled(self) -> bool:
        """Whether there was a first sample."""
        return self._slot >= 0

    def encoded(self) -> bytes:
        """`latest` as JSON, made once however many ask for it."""
        if self._encoded is None:
            self._encoded = msgspec.json.encode(self.latest)
        return self._encoded

    async def run(self) -> None:
        """Sample until cancelled. A reader that breaks its promise is logged, and tried again."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                await self.tick()
            except Exception:
                log.exception("sampling failed")
            due = max(due + PERIOD_SECONDS, loop.time())
            await asyncio.sleep(due - loop.time())

    async def tick(self) -> None:
        """Take one sample of everything."""
        if self._ticks % INVENTORY_EVERY_TICKS == 0:
            self.inventory = await self._gpu.inventory()
        if self._ticks % HEALTH_EVERY_TICKS == 0:
            self.health = await self._gpu.health()
        self._ticks += 1
        reading = await self._gpu.read()
        host = await self._sample_host()
        figures = await self._runtime.figures()
        if new := self._gpu.take_xids():
            self.xids = [*self.xids, *new][-XIDS_KEPT:]
        self.latest = Telemetry(
            at=time.time(),
            host=host,
            gpus=list(reading.samples),
            processes=list(reading.processes),
            containers=list(figures),
        )
        self._encoded = None
        self._keep(self._values())
        self._on_tick()

    async def _sample_host(self) -> HostSample:
        """The machine's figures; unknown while its thread is stuck, so that the GPUs go on."""
        if not self._in_thread:
            return self._host.sample()
        limit = 0.0
        if self._host_reading is None:
            limit = self._host_limit_seconds
            self._host_reading = asyncio.create_task(asyncio.to_thread(self._host.sample))
        done, _ = await asyncio.wait({self._host_reading}, timeout=limit)
        if not done:
            figures = [each for each in HostSample.__struct_fields__ if each != "unknown"]
            return HostSample(unknown=dict.fromkeys(figures, "no_answer"))
        self._host_reading = None
        return done.pop().result()

    def _keep(self, values: dict[tuple[str, Metric], float | None]) -> None:
        """Put the values where they belong in time, with gaps for seconds that had none."""
        now = self._clock()
        if self._first_at is None:
            self._first_at = now
        slot = round((now - self._first_at) / PERIOD_SECONDS)
        for _ in range(min(slot - self._slot - 1, GAP_LIMIT)):
            self.history.put({})
        self._slot = max(slot, self._slot + 1)
        self.history.put(values)

    def _values(self) -> dict[tuple[str, Metric], float | None]:
        values: dict[tuple[str, Metric], float | None] = {
            ("host", "cpu_percent"): self.latest.host.cpu_percent,
            ("host", "host_memory_used_bytes"): self.latest.host.memory_used_bytes,
        }
        for sample in self.latest.gpus:
            for metric in GPU_METRICS:
                values[sample.uuid, metric] = getattr(sample, metric)
        return values
