"""A simulated node's driver and GPUs, from its kind and its seed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from random import Random

import msgspec

from agent.gpu.simulated import MEBIBYTE, Board, SimulatedGpu
from agent.protocol.decoding import from_plain
from agent.protocol.gpus import Gpu, GpuHealth, GpuSample, GpuStack, MigInstance
from agent.rules.chance import repeatable
from agent.rules.ways import NVIDIA_CDI
from agent.simulation.catalogue import Driver
from agent.simulation.pattern import Pattern
from agent.simulation.plan import NodePlan

# What an unattended upgrade of the driver's packages leaves: the library is ahead of the module.
UPGRADED = {"535.183.01": "535.216.01"}


def cdi_devices(plan: NodePlan, gpus: Sequence[SimulatedGpu]) -> list[str]:
    """What the node's CDI specs name, if it has any: GPUs and MIG instances, by UUID and index."""
    if not plan.kind.toolkit.cdi_specs:
        return []
    names = []
    for each in gpus:
        if not each.gpu.mig_instances:
            names += [each.gpu.uuid, str(each.gpu.index)]
        for instance in each.gpu.mig_instances:
            names += [instance.uuid, f"{each.gpu.index}:{instance.index}"]
    return [f"{NVIDIA_CDI}{name}" for name in names]


def build_gpus(plan: NodePlan) -> tuple[GpuStack, list[SimulatedGpu]]:
    """The driver and its GPUs. One that does not match shows none."""
    kind = plan.kind
    mismatch = plan.fault == "driver-mismatch"
    boards = [] if kind.board is None or mismatch else [kind.board] * kind.gpu_count
    gpus: list[SimulatedGpu] = []
    for index, board in enumerate(boards):
        seed = f"{plan.seed}/gpu/{index}"
        chance = repeatable(seed)
        lost = plan.fault == "gpu-lost" and index == kind.gpu_count - 1
        gpu = _gpu(board, index, chance, kind.machine.memory_bytes)
        gpus.append(
            SimulatedGpu(
                gpu,
                board,
                Pattern(
                    seed,
                    peak=chance.uniform(0.6, 0.9),
                    utc_offset_seconds=plan.utc_offset_hours * 3600,
                ),
                share=chance.uniform(0.35, 0.6),
                health=_health(board, gpu.uuid, lost=lost),
                unknown=_lost_figures() if lost else _unknown_figures(board),
                lost=lost,
            )
        )
    return _stack(kind.driver, mismatch=mismatch), gpus


def _stack(driver: Driver | None, *, mismatch: bool) -> GpuStack:
    if driver is None:
        return GpuStack(
            state="no_gpu", source="simulated", reason="no NVIDIA GPU in this machine (simulated)"
        )
    tegra = driver.l4t_version is not None
    if mismatch:
        library = UPGRADED[driver.version]
        return GpuStack(
            state="driver_mismatch",
            source="simulated",
            reason=f"the loaded kernel module is {driver.version}, the library is {library}"
            " (simulated)",
            driver_version=driver.version,
            module_version=driver.version,
            library_version=library,
            unknown={"cuda_version": "driver_mismatch", "nvml_version": "driver_mismatch"},
        )
    return GpuStack(
        state="simulated",
        source="simulated",
        driver_version=driver.version,
        cuda_version=driver.cuda_version,
        nvml_version=driver.nvml_version,
        library_version=None if tegra else driver.version,
        module_version=None if tegra else driver.version,
        l4t_version=driver.l4t_version,
        unknown={"nvml_version": "not_supported"} if tegra else {},
    )


def _gpu(board: Board, index: int, chance: Random, system_memory: int) -> Gpu:
    tegra = board.link is None
    own = board.memory_mebibytes
    unknown = {}
    if tegra:
        fields = ("brand", "minor", "pci_bus_id", "power_limit_watts", "persistence", "mig")
        unknown = dict.fromkeys(
            (*fields, "ecc", "pcie_link_generation", "pcie_link_width"), "not_supported"
        )
    else:
        if board.ecc is None:
            unknown["ecc"] = "not_supported"
        if board.label not in ("a100", "h200"):
            unknown["mig"] = "not_supported"
    return Gpu(
        uuid=f"GPU-{uuid.UUID(int=chance.getrandbits(128))}",
        index=index,
        name=board.name,
        minor=None if tegra else index,
        pci_bus_id=None if tegra else f"00000000:{0x17 + 0x14 * index:02X}:00.0",
        compute_capability=board.compute_capability,
        architecture=board.architecture,
        brand=board.brand,
        memory_total_bytes=system_memory if own is None else own * MEBIBYTE,
        unified_memory=own is None,
        power_limit_watts=board.power_limit_watts,
        persistence=None if tegra else True,
        ecc=board.ecc,
        mig=None if "mig" in unknown else bool(board.slices),
        mig_instances=[
            MigInstance(
                uuid=f"MIG-{uuid.UUID(int=chance.getrandbits(128))}",
                index=place,
                gpu_instance_id=place + 1,
                compute_instance_id=0,
                profile=each.profile,
                memory_total_bytes=each.memory_mebibytes * MEBIBYTE,
            )
            for place, each in enumerate(board.slices)
        ],
        pcie_link_generation=board.link[0] if board.link else None,
        pcie_link_width=board.link[1] if board.link else None,
        unknown=unknown,
    )


def _unknown_figures(board: Board) -> dict[str, str]:
    unknown = {"memory_temperature_celsius": "not_supported"}
    if board.slices:
        shared = ("utilization_percent", "memory_utilization_percent")
        unknown |= dict.fromkeys((*shared, "encoder_percent", "decoder_percent"), "mig")
    if not board.fan:
        unknown["fan_percent"] = "not_supported"
    if board.reserved_mebibytes is None:
        unknown["memory_reserved_bytes"] = (
            "not_supported" if board.memory_mebibytes is None else "function_missing"
        )
    if board.memory_mebibytes is None:
        fields = ("memory_utilization_percent", "encoder_percent", "decoder_percent")
        more = ("power_watts", "energy_joules", "memory_clock_mhz", "performance_state")
        unknown |= dict.fromkeys((*fields, *more, "pcie_replay_count"), "not_supported")
    return unknown


def _health(board: Board, gpu_uuid: str, *, lost: bool) -> GpuHealth:
    fields = [
        field.name
        for field in msgspec.structs.fields(GpuHealth)
        if field.name not in {"uuid", "unknown"}
    ]
    if lost:
        return GpuHealth(uuid=gpu_uuid, unknown=dict.fromkeys(fields, "gpu_lost"))
    known: dict[str, object] = {"slowdown_celsius": board.slowdown_celsius}
    if board.ecc:
        known |= dict.fromkeys([name for name in fields if name.startswith("ecc_")], 0)
        # Turing retires pages, Ampere and later remap rows.
        if board.architecture == "turing":
            known["retired_pages_pending"] = False
            known["retired_pages_single_bit"] = known["retired_pages_double_bit"] = 0
        else:
            known["remapped_correctable"] = known["remapped_uncorrectable"] = 0
            known["remap_pending"] = known["remap_failed"] = False
    known = {name: value for name, value in known.items() if value is not None}
    unknown = {name: "not_supported" for name in fields if name not in known}
    return from_plain({"uuid": gpu_uuid, "unknown": unknown, **known}, GpuHealth)


def _lost_figures() -> dict[str, str]:
    told = {"uuid", "state", "reason", "throttle", "unknown"}
    fields = [field.name for field in msgspec.structs.fields(GpuSample)]
    return {name: "gpu_lost" for name in fields if name not in told}
