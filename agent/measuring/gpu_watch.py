"""One GPU or MIG slice of one arm, from the node's samples."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agent.gpu.source import Inventory
from agent.measuring.readings import NotMeasuredError, Readings
from agent.protocol.arms import ArmGpu, ArmName
from agent.protocol.containers import Container
from agent.protocol.gpus import Gpu, GpuProcess, GpuSample, XidEvent
from agent.protocol.telemetry import Telemetry

# As in "pid=1234, name=python, Ch 00000008".
_PID = re.compile(r"\bpid=(\d+)")
PIDS_KEPT = 256
_TOLD = {
    "not_supported": "its driver does not tell",
    "no_permission": "the agent may not read it",
    "mig": "it is not told of a MIG slice",
    "hung": "a call into the driver hangs",
    "no_process": "the agent does not see the processes that the driver names",
}


class Moment(NamedTuple):
    """What the node sampled last. `at`: seconds of a clock that nobody sets."""

    at: float
    telemetry: Telemetry
    inventory: Inventory
    containers: Mapping[str, Container]
    xids: Sequence[XidEvent] = ()  # that are new


class Holder(NamedTuple):
    """A container that was given GPUs. One that rests is about to be gone from them."""

    arm: ArmName
    container: str
    gpus: Sequence[str]
    rests: bool = False


class GpuWatch:
    """What an arm does on one GPU."""

    def __init__(self, uuid: str, own: Holder, other: Holder | None) -> None:
        self._uuid, self._own, self._other = uuid, own, other
        self._xids: int | None = None
        self._xid_codes: set[int] = set()
        self._pids: dict[int, str | None] = {}  # whose a process on it was
        self._gpu: Gpu | None = None  # as last seen: one that is lost may be named by its XIDs
        self._why_no_xids = "it was not looked at yet"
        self.begin()

    def begin(self) -> None:
        """Another window: what was read in the one before does not count."""
        self._memory, self._utilization, self._temperature = Readings(), Readings(), Readings()
        self._shared: set[str] | None = set()

    def count(self, moment: Moment) -> None:
        """One moment's XIDs, also where the arm has just ended by them."""
        self._gpu = gpu = _found(moment.inventory, self._uuid) or self._gpu
        stack = moment.inventory.stack
        if gpu is None or stack.source not in ("nvml", "simulated"):
            self._why_no_xids = stack.reason or "its driver tells of no XIDs"
            return
        if "xids" not in stack.unknown:  # else only the kernel's log may tell of some
            self._xids = self._xids or 0
        self._why_no_xids = "its driver reports no events"
        for event in moment.xids:
            here = event.gpu_uuid == gpu.uuid or (
                event.gpu_uuid is None
                and event.pci_bus_id is not None
                and event.pci_bus_id == gpu.pci_bus_id
            )
            pid = _PID.search(event.text or "")
            own = self._own.container
            if here and (pid is None or self._pids.get(int(pid[1]), own) == own):
                self._xids = (self._xids or 0) + 1
                self._xid_codes.add(event.code)

    def take(self, moment: Moment, at: float) -> int | None:
        """One moment, at so many seconds of the window; the bytes that the arm has there."""
        gpu = _found(moment.inventory, self._uuid)
        sample = None if gpu is None else _sample(moment.telemetry, gpu.uuid)
        why = _why_not(moment.inventory, self._uuid, sample)
        if gpu is None or sample is None or why is not None:
            error = NotMeasuredError(why or "it was not sampled")
            for figure in (self._memory, self._utilization, self._temperature):
                figure.fail(error)
            self._shared = None
            return None
        processes = [each for each in moment.telemetry.processes if each.gpu_uuid == gpu.uuid]
        self._share(moment, gpu, sample, processes)
        _put(self._temperature, at, sample.temperature_celsius, sample, "temperature_celsius")
        _put(self._utilization, at, sample.utilization_percent, sample, "utilization_percent")
        if self._uuid != gpu.uuid:
            processes = [each for each in processes if each.mig_uuid == self._uuid]
        try:
            held = _held(self._own.container, sample, processes)
        except NotMeasuredError as error:
            self._memory.fail(error)
            return None
        self._memory.add(held, at)
        return held

    def shown(self) -> ArmGpu:
        """As it is told."""
        told = self._shared
        return ArmGpu(
            uuid=self._uuid,
            shared_with=None if told is None else sorted(told),
            memory_bytes=self._memory.shown(),
            utilization_percent=self._utilization.shown(),
            temperature_celsius=self._temperature.shown(),
            xids=self._xids,
            xid_codes=sorted(self._xid_codes),
            unknown={} if self._xids is not None else {"xids": self._why_no_xids},
        )

    def _share(
        self, moment: Moment, gpu: Gpu, sample: GpuSample, processes: Sequence[GpuProcess]
    ) -> None:
        """Whoever is seen on it once is one that it is shared with, for the whole window."""
        now = {each.pid: each.container for each in processes}
        self._pids = dict(list((self._pids | now).items())[-PIDS_KEPT:])
        if "processes" in sample.unknown or moment.inventory.stack.source == "tegra":
            self._shared = None
        if self._shared is None:
            return
        other = self._other
        if other is not None and not other.rests and {self._uuid, gpu.uuid} & set(other.gpus):
            container = moment.containers.get(other.container)
            if container is not None and container.state == "running":
                self._shared.add(other.arm)
        for each in processes:
            if other is not None and each.container == other.container:
                self._shared |= set() if other.rests else {other.arm}
            elif each.container != self._own.container:
                self._shared.add("others")


def _found(inventory: Inventory, uuid: str) -> Gpu | None:
    """The GPU of that UUID, or the one that the slice is of."""
    for gpu in inventory.gpus:
        if gpu.uuid == uuid or any(each.uuid == uuid for each in gpu.mig_instances):
            return gpu
    return None


def _sample(telemetry: Telemetry, uuid: str) -> GpuSample | None:
    return next((each for each in telemetry.gpus if each.uuid == uuid), None)


def _why_not(inventory: Inventory, uuid: str, sample: GpuSample | None) -> str | None:
    stack = inventory.stack
    if stack.state not in ("ok", "simulated"):
        return stack.reason or f"the node's GPUs cannot be read: {stack.state}"
    if sample is None:
        return f"{uuid} is not there any more"
    if sample.state != "ok":
        return sample.reason or f"it is {sample.state}"
    return None


def _put(figure: Readings, at: float, value: float | None, sample: GpuSample, field: str) -> None:
    if value is None:
        figure.fail(NotMeasuredError(_words(sample.unknown.get(field)), broke=False))
    else:
        figure.add(value, at)


def _held(container: str, sample: GpuSample, processes: Sequence[GpuProcess]) -> int:
    """Bytes that a container's processes hold. Raises NotMeasuredError."""
    if "processes" in sample.unknown:
        raise NotMeasuredError(_words(sample.unknown["processes"]), broke=False)
    for each in processes:
        if each.container is None and "container" in each.unknown:
            why = _words(each.unknown["container"])
            raise NotMeasuredError(f"whose process {each.pid} is, is not known: {why}", broke=False)
    held = 0
    for each in processes:
        if each.container == container:
            if each.memory_used_bytes is None:
                why = _words(each.unknown.get("memory_used_bytes"))
                raise NotMeasuredError(why, broke=False)
            held += each.memory_used_bytes
    return held


def _words(reason: str | None) -> str:
    return _TOLD.get(reason or "", reason or "it was not told")
