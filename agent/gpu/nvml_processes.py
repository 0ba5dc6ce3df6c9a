"""Which processes NVML sees on a GPU."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from agent.gpu.nvml_calls import Caller, Device, Way
from agent.gpu.processes import ProcessTable
from agent.protocol.gpus import GpuProcess

Kind = Literal["compute", "graphics", "mps"]

# Drivers before 510 know only the second; they fill the same structure.
NAMES: tuple[tuple[Kind, str], ...] = (
    ("compute", "Compute"),
    ("graphics", "Graphics"),
    ("mps", "MPSCompute"),
)
CALLS = tuple(
    (
        kind,
        (
            Way(f"nvmlDeviceGet{name}RunningProcesses_v3"),
            Way(f"nvmlDeviceGet{name}RunningProcesses_v2"),
        ),
    )
    for kind, name in NAMES
)
NOT_MIG = 0xFFFFFFFF


def read_processes(caller: Caller, device: Device, unknown: dict[str, str]) -> list[GpuProcess]:
    """All processes of a GPU and its MIG devices, without names and containers.

    `unknown` gains "processes" where not even the compute processes can be listed.

    Raises:
        GpuTroubleError, DriverTroubleError
    """
    found: dict[tuple[int, int, int], GpuProcess] = {}
    for kind, ways in CALLS:
        reasons: dict[str, str] = {}
        field = "processes" if kind == "compute" else f"{kind} processes"
        for each in caller.ask(device, reasons, (field,), *ways) or ():
            key = (each.pid, each.gpuInstanceId, each.computeInstanceId)
            if key in found:
                continue
            process = found[key] = GpuProcess(
                gpu_uuid=device.uuid,
                pid=each.pid,
                kind=kind,
                memory_used_bytes=each.usedGpuMemory,
                mig_uuid=None if each.gpuInstanceId == NOT_MIG else device.instances.get(key[1:]),
            )
            if each.usedGpuMemory is None:
                process.unknown["memory_used_bytes"] = "not_supported"
        if kind == "compute":
            unknown.update(reasons)
    return list(found.values())


def identify(processes: Iterable[GpuProcess], table: ProcessTable) -> None:
    """Fill in names and containers."""
    listed = list(processes)
    known = table.look_up({process.pid for process in listed})
    for process in listed:
        info = known[process.pid]
        process.name, process.container = info.name, info.container
        if info.reason is not None:
            process.unknown["name"] = process.unknown["container"] = info.reason
