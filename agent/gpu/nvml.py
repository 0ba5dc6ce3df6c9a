"""Reads GPUs through NVML. What hangs, is lost or was reloaded becomes a state with a reason."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from agent.gpu.holds import Clock
from agent.gpu.kernel_log import KernelLog
from agent.gpu.nvml_calls import Caller, Device, GpuTroubleError
from agent.gpu.nvml_driver import Limits, NvmlDriver
from agent.gpu.nvml_facts import blank_facts, read_facts
from agent.gpu.nvml_figures import blank_health, blank_sample, read_health, read_sample
from agent.gpu.nvml_library import SONAME
from agent.gpu.nvml_processes import identify, read_processes
from agent.gpu.nvml_session import Opener, Session
from agent.gpu.processes import ProcessTable
from agent.gpu.source import Inventory, Reading
from agent.gpu.xids import XidLog
from agent.protocol.gpus import Gpu, GpuHealth, GpuProcess, GpuSample, GpuState, XidEvent

PROC, SYS, KERNEL_LOG = Path("/proc"), Path("/sys"), Path("/dev/kmsg")
DEFAULT_LIMITS = Limits()


class _Look(NamedTuple):
    """What one look at one GPU gave."""

    sample: GpuSample
    processes: list[GpuProcess]


def _look(caller: Caller, device: Device, turn: int, system_memory_bytes: int | None) -> _Look:
    sample = read_sample(caller, device, turn, system_memory_bytes)
    processes = read_processes(caller, device, sample.unknown)
    if device.unified:
        # Nobody counts what a GPU uses of the system's memory but its processes.
        if reason := sample.unknown.get("processes"):
            sample.unknown["memory_used_bytes"] = reason
        else:
            sample.memory_used_bytes = sum(each.memory_used_bytes or 0 for each in processes)
    return _Look(sample, processes)


class NvmlSource:
    """NVML as a GpuSource. All calls but the wait for XIDs are made in one watched thread.

    A GPU that was there once stays in the inventory, as lost, when the driver lists it no more.
    """

    def __init__(
        self,
        *,
        library: str = SONAME,
        proc: Path = PROC,
        sys: Path = SYS,
        kernel_log: Path = KERNEL_LOG,
        limits: Limits = DEFAULT_LIMITS,
        clock: Clock = time.monotonic,
    ) -> None:
        self._limits, self._clock = limits, clock
        self._xids = XidLog()
        self._kernel_log = KernelLog(kernel_log, self._xids)
        opener = Opener(library, proc, sys, self._xids, limits.event_wait)
        self._driver = NvmlDriver(opener, limits, clock)
        self._processes = ProcessTable(proc)
        self._lock = asyncio.Lock()
        self._started = False
        self._session: Session | None = None
        self._facts_due_at = 0.0
        self._turn = 0
        self._gpus: dict[str, Gpu] = {}
        self._inventory = Inventory(stack=self._driver.stack)

    async def start(self) -> None:
        """Begin to follow the kernel log. NVML is opened by the first question."""
        if not self._started:
            self._started = True
            self._kernel_log.start()

    async def stop(self) -> None:
        """Shut NVML down, end the threads; those that hang are left behind."""
        async with self._lock:
            self._kernel_log.stop()
            await self._driver.stop()

    async def inventory(self) -> Inventory:
        """Driver, GPUs and MIG layout; the same object as before where nothing changed."""
        async with self._lock:
            session = await self._ready()
            if session is not None and self._clock() >= self._facts_due_at:
                await self._refresh(session)
            stack = self._driver.stack
            if reason := self._kernel_log.reason:
                unknown = {**stack.unknown, "kernel_log": reason}
                stack = msgspec.structs.replace(stack, unknown=unknown)
            fresh = Inventory(stack=stack, gpus=tuple(self._gpus.values()))
            if fresh != self._inventory:
                self._inventory = fresh
            return self._inventory

    async def read(self) -> Reading:
        """Current figures and processes of every GPU."""
        async with self._lock:
            session = await self._ready()
            self._turn += 1
            looks = None
            if session is not None:
                memory = session.system_memory_bytes
                look = partial(_look, turn=self._turn, system_memory_bytes=memory)
                looks = await self._driver.each(session, look)
            samples: dict[str, GpuSample] = {}
            processes: list[GpuProcess] = []
            for device, seen in looks or ():
                if isinstance(seen, GpuTroubleError):
                    samples[device.uuid] = blank_sample(device.uuid, seen)
                    continue
                samples[device.uuid] = seen.sample
                processes += seen.processes
                if seen.sample.state != "ok":
                    self._driver.note_error()
            if looks is not None:
                await self._driver.run(partial(identify, processes, self._processes))
            absence = self._absence()
            return Reading(
                samples=tuple(
                    samples.get(uuid) or blank_sample(uuid, absence) for uuid in self._gpus
                ),
                processes=tuple(processes),
            )

    async def health(self) -> tuple[GpuHealth, ...]:
        """Slow counters of every GPU."""
        async with self._lock:
            session = await self._ready()
            results = None if session is None else await self._driver.each(session, read_health)
            health: dict[str, GpuHealth] = {}
            for device, result in results or ():
                health[device.uuid] = (
                    blank_health(device.uuid, result)
                    if isinstance(result, GpuTroubleError)
                    else result
                )
            absence = self._absence()
            return tuple(health.get(uuid) or blank_health(uuid, absence) for uuid in self._gpus)

    def take_xids(self) -> list[XidEvent]:
        """XID events since the last call, oldest first."""
        events = self._xids.take()
        uuids = {gpu.pci_bus_id: gpu.uuid for gpu in self._gpus.values()} if events else {}
        for event in events:
            if event.gpu_uuid is None and event.pci_bus_id is not None:
                event.gpu_uuid = uuids.get(event.pci_bus_id)
        return events

    async def _ready(self) -> Session | None:
        """The session, with facts that fit it."""
        session = await self._driver.ready({gpu.index: gpu.uuid for gpu in self._gpus.values()})
        if session is not None and session is not self._session:
            self._session = session
            await self._refresh(session)
            return self._driver.session  # the refresh may have found the driver gone
        return session

    async def _refresh(self, session: Session) -> None:
        """Read the facts of every GPU anew; of one that does not answer, the old ones stand."""
        self._facts_due_at = self._clock() + self._limits.facts_every
        work = partial(read_facts, system_memory_bytes=session.system_memory_bytes)
        found: dict[str, Gpu] = {}
        for device, facts in await self._driver.each(session, work) or ():
            if isinstance(facts, Gpu):
                found[device.uuid] = facts
            else:
                known = self._gpus.get(device.uuid)
                found[device.uuid] = known or blank_facts(device.uuid, device.index, facts)
        gone = {uuid: gpu for uuid, gpu in self._gpus.items() if uuid not in found}
        nameless = [uuid for uuid, gpu in gone.items() if gpu.name == "unknown"]
        for uuid in nameless:
            del gone[uuid]
        gpus = sorted({**gone, **found}.values(), key=lambda gpu: gpu.index)
        self._gpus = {gpu.uuid: gpu for gpu in gpus}

    def _absence(self) -> GpuTroubleError:
        """Why a GPU that is known has no figures."""
        stack = self._driver.stack
        if stack.state == "ok":
            return GpuTroubleError("lost", "the driver does not list this GPU any more", "gpu_lost")
        state: GpuState = "hung" if stack.state == "hung" else "error"
        return GpuTroubleError(state, stack.reason or stack.state, stack.state)
