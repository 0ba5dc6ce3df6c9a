"""Reads a Jetson's GPU from sysfs. Before JetPack 7 NVML knows nothing useful of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agent.gpu import driver_files
from agent.gpu.nvml_calls import GpuTroubleError
from agent.gpu.nvml_figures import blank_health, blank_sample
from agent.gpu.source import Inventory, Reading
from agent.gpu.tegra_files import Figure, TegraFiles, device_tree, is_tegra, l4t_version
from agent.gpu.worker import HungError, Watch, Worker
from agent.protocol.gpus import TEGRA_UUID, Gpu, GpuHealth, GpuSample, GpuStack, XidEvent

T = TypeVar("T")
ROOT = Path("/")
LIMIT_SECONDS = 3.0
# What a Jetson's files do not say.
NOT_IN_FILES = (
    *("memory_utilization_percent", "encoder_percent", "decoder_percent"),
    *("memory_reserved_bytes", "memory_temperature_celsius", "energy_joules"),
    *("memory_clock_mhz", "performance_state", "pcie_replay_count", "throttle", "processes"),
)


class TegraSource:
    """A Jetson's GPU as a GpuSource.

    Its memory is the system's, so used and total are the whole machine's. Its UUID is made from
    the machine's serial number, for the GPU has none of its own.
    """

    def __init__(self, *, root: Path = ROOT, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._root = root
        self._limit_seconds = limit_seconds
        self._worker = Worker("tegra")
        self._lock = asyncio.Lock()
        self._files: TegraFiles | None = None
        self._hung: HungError | None = None
        self._inventory = Inventory(
            stack=GpuStack(state="error", source="tegra", reason="not asked yet")
        )

    async def start(self) -> None:
        """Nothing to do: files are opened when they are read."""

    async def stop(self) -> None:
        """End the thread."""
        async with self._lock:
            await self._worker.stop()

    async def inventory(self) -> Inventory:
        """The machine, its GPU and Jetson Linux. They do not change while it runs."""
        async with self._lock:
            if self._files is None or self._inventory.stack.state != "ok":
                fresh = await self._ask(self._read_facts)
                if isinstance(fresh, GpuTroubleError):
                    stack = GpuStack(state="hung", source="tegra", reason=fresh.reason)
                    fresh = Inventory(stack=stack, gpus=self._inventory.gpus)
                if fresh != self._inventory:
                    self._inventory = fresh
            return self._inventory

    async def read(self) -> Reading:
        """Current figures. The GPU's processes cannot be told from others."""
        gpus = (await self.inventory()).gpus
        async with self._lock:
            if not gpus:
                return Reading()
            sample = await self._ask(lambda: self._read_sample(gpus[0]))
            if isinstance(sample, GpuTroubleError):
                sample = blank_sample(gpus[0].uuid, sample)
            return Reading(samples=(sample,))

    async def health(self) -> tuple[GpuHealth, ...]:
        """A Jetson keeps none of these counters."""
        unknown = GpuTroubleError("ok", "", "not_supported")
        return tuple(blank_health(gpu.uuid, unknown) for gpu in self._inventory.gpus)

    def take_xids(self) -> list[XidEvent]:
        """A Jetson's driver reports no XIDs."""
        return []

    async def _ask(self, job: Callable[[], T]) -> T | GpuTroubleError:
        """The job's result, unless a file of sysfs does not answer."""
        if self._hung is None or not self._hung.thread.is_alive():
            self._hung = None
            try:
                return await self._worker.run(
                    lambda watch: _watched(watch, job), limit_seconds=self._limit_seconds
                )
            except HungError as hung:
                self._hung = hung
        return GpuTroubleError("hung", str(self._hung), "hung")

    def _read_facts(self) -> Inventory:
        if not is_tegra(self._root):
            stack = GpuStack(state="no_gpu", source="none", reason="this is no Jetson")
            return Inventory(stack=stack)
        self._files = files = TegraFiles(self._root)
        l4t = l4t_version(self._root)
        stack = GpuStack(
            state="ok",
            source="tegra",
            l4t_version=l4t,
            module_version=driver_files.loaded_module_version(self._root / "proc"),
            unknown=dict.fromkeys(
                ("driver_version", "cuda_version", "nvml_version", "library_version"),
                "not_supported",
            ),
        )
        if l4t is None:
            stack.unknown["l4t_version"] = "not_supported"
        if not files.found:
            stack.state, stack.reason = "no_gpu", "there is no GPU in /sys/class/devfreq"
            return Inventory(stack=stack)
        return Inventory(stack=stack, gpus=(self._read_gpu(files),))

    def _read_gpu(self, files: TegraFiles) -> Gpu:
        chip = files.chip()
        memory = driver_files.memory_total_bytes(self._root / "proc")
        serial = device_tree(self._root, "serial-number")
        gpu = Gpu(
            uuid=f"{TEGRA_UUID}{serial or 0}",
            index=0,
            name=device_tree(self._root, "model") or (chip.name if chip else "Tegra"),
            compute_capability=chip and chip.compute_capability,
            architecture=chip and chip.architecture,
            memory_total_bytes=memory,
            unified_memory=True,
            mig=False,
        )
        for field in Gpu.__struct_fields__:
            if getattr(gpu, field) is None:
                gpu.unknown[field] = "not_supported"
        return gpu

    def _read_sample(self, gpu: Gpu) -> GpuSample:
        files = self._files
        if files is None:  # never: read() has asked for the inventory
            raise RuntimeError("the files were not looked for")
        unknown = dict.fromkeys(NOT_IN_FILES, "not_supported")

        def scaled(field: str, figure: Figure, scale: float) -> float | None:
            if figure.value is None:
                unknown[field] = figure.reason or "not_supported"
                return None
            return figure.value * scale

        memory = driver_files.meminfo(self._root / "proc")
        total, available = memory.get("MemTotal"), memory.get("MemAvailable")
        used = None if total is None or available is None else total - available
        if used is None:
            unknown["memory_used_bytes"] = unknown["memory_total_bytes"] = "not_supported"
        clock = scaled("sm_clock_mhz", files.clock_hz(), 1e-6)
        return GpuSample(
            uuid=gpu.uuid,
            utilization_percent=scaled("utilization_percent", files.load_permille(), 0.1),
            memory_used_bytes=used,
            memory_total_bytes=total,
            temperature_celsius=scaled(
                "temperature_celsius", files.temperature_millidegrees(), 1e-3
            ),
            power_watts=scaled("power_watts", files.power_microwatts(), 1e-6),
            sm_clock_mhz=None if clock is None else round(clock),
            fan_percent=scaled("fan_percent", files.fan_of_255(), 100 / 255),
            unknown=unknown,
        )


def _watched(watch: Watch, job: Callable[[], T]) -> T:
    return watch.call("a file of the GPU in /sys", 0, job)
