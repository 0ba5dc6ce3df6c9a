"""What NVML says a GPU is: identity, limits, modes, and its MIG devices."""

from __future__ import annotations

from typing import Any

from agent.gpu.nvml_calls import (
    NOT_FOUND,
    NOT_SUPPORTED,
    Caller,
    Device,
    GpuTroubleError,
    NvmlFailureError,
    Way,
    text,
)
from agent.protocol.gpus import NVML_BRANDS, Gpu, MigInstance

# NVML_DEVICE_ARCH_*
ARCHITECTURES = {
    2: "kepler",
    3: "maxwell",
    4: "pascal",
    5: "volta",
    6: "turing",
    7: "ampere",
    8: "ada",
    9: "hopper",
    10: "blackwell",
    13: "rubin",
}

MEMORY = (Way("nvmlDeviceGetMemoryInfo", (0x02000028,)), Way("nvmlDeviceGetMemoryInfo"))


def read_facts(caller: Caller, device: Device, system_memory_bytes: int | None) -> Gpu:
    """Read everything that changes rarely, and note in `device` what the figures depend on.

    Raises:
        GpuTroubleError, DriverTroubleError
    """
    device.refused.clear()
    device.instances.clear()
    unknown: dict[str, str] = {}

    def ask(field: str, name: str, *arguments: Any) -> Any:
        return caller.ask(device, unknown, (field,), Way(name, arguments))

    mig = ask("mig", "nvmlDeviceGetMigMode")
    device.mig = bool(mig and mig[0])
    capability = ask("compute_capability", "nvmlDeviceGetCudaComputeCapability")
    architecture = ARCHITECTURES.get(ask("architecture", "nvmlDeviceGetArchitecture"))
    if architecture is None:
        unknown.setdefault("architecture", "not_supported")
    # A newer driver's brand is "unknown" to libnvidia-container, too.
    brand = ask("brand", "nvmlDeviceGetBrand")
    memory = _memory_total(caller, device, unknown)
    limit = ask("power_limit_watts", "nvmlDeviceGetEnforcedPowerLimit")
    persistence = ask("persistence", "nvmlDeviceGetPersistenceMode")
    ecc = ask("ecc", "nvmlDeviceGetEccMode")
    name = ask("name", "nvmlDeviceGetName")
    instances = _mig_instances(caller, device) if device.mig else []
    return Gpu(
        uuid=device.uuid,
        index=device.index,
        name="unknown" if name is None else text(name),
        minor=ask("minor", "nvmlDeviceGetMinorNumber"),
        pci_bus_id=device.pci_bus_id,
        compute_capability=capability and f"{capability[0]}.{capability[1]}",
        architecture=architecture,
        brand=None if brand is None else NVML_BRANDS.get(brand, "unknown"),
        memory_total_bytes=system_memory_bytes if device.unified else memory,
        unified_memory=device.unified,
        power_limit_watts=None if limit is None else limit / 1000,
        persistence=None if persistence is None else bool(persistence),
        ecc=None if ecc is None else bool(ecc[0]),
        mig=None if mig is None else device.mig,
        mig_instances=instances,
        pcie_link_generation=ask("pcie_link_generation", "nvmlDeviceGetMaxPcieLinkGeneration"),
        pcie_link_width=ask("pcie_link_width", "nvmlDeviceGetMaxPcieLinkWidth"),
        unknown=unknown,
    )


def _memory_total(caller: Caller, device: Device, unknown: dict[str, str]) -> int | None:
    """The GPU's own memory. Sets `device.unified` where it has none.

    A GPU that shares the system's memory (GB10) either does not support the call or answers 0.
    A slice's or a lost GPU's refusal means nothing of the kind.
    """
    reasons: dict[str, str] = {}
    memory = caller.ask(device, reasons, ("memory_total_bytes",), *MEMORY)
    none_of_its_own = (
        reasons.get("memory_total_bytes") == "not_supported"
        if memory is None
        else (memory.total == 0)
    )
    device.unified = none_of_its_own and not device.mig
    if device.unified:
        return None
    unknown.update(reasons)
    return None if memory is None else int(memory.total)


def _mig_instances(caller: Caller, device: Device) -> list[MigInstance]:
    """The MIG devices. Their numbering has gaps: device 1 may be gone while 2 exists."""
    unknown: dict[str, str] = {}
    most = caller.ask(device, unknown, ("mig_instances",), Way("nvmlDeviceGetMaxMigDeviceCount"))
    instances = []
    for number in range(most or 0):
        try:
            handle = caller.call("nvmlDeviceGetMigDeviceHandleByIndex", device, number)
        except NvmlFailureError as failure:
            if failure.code in (NOT_FOUND, NOT_SUPPORTED):
                continue
            break
        instances.append(_mig_instance(caller, device, handle, number))
    device.instances = {
        (each.gpu_instance_id, each.compute_instance_id): each.uuid
        for each in instances
        if each.gpu_instance_id is not None and each.compute_instance_id is not None
    }
    return instances


def _mig_instance(caller: Caller, device: Device, handle: Any, number: int) -> MigInstance:
    def ask(name: str) -> Any:
        try:
            return caller.call_on(name, device, handle)
        except NvmlFailureError:
            return None

    uuid, name = ask("nvmlDeviceGetUUID"), ask("nvmlDeviceGetName")
    memory = ask("nvmlDeviceGetMemoryInfo")
    # "NVIDIA A100-SXM4-40GB MIG 1g.5gb"
    _, _, profile = ("" if name is None else text(name)).rpartition(" MIG ")
    return MigInstance(
        uuid=f"{device.uuid}/mig-{number}" if uuid is None else text(uuid),
        index=number,
        gpu_instance_id=ask("nvmlDeviceGetGpuInstanceId"),
        compute_instance_id=ask("nvmlDeviceGetComputeInstanceId"),
        profile=profile or None,
        memory_total_bytes=None if memory is None else int(memory.total),
    )


def blank_facts(uuid: str, index: int, trouble: GpuTroubleError) -> Gpu:
    """The facts of a GPU that has never answered."""
    known = ("uuid", "index", "unified_memory", "mig_instances", "unknown")
    fields = [name for name in Gpu.__struct_fields__ if name not in known]
    unknown = dict.fromkeys(fields, trouble.word)
    return Gpu(uuid=uuid, index=index, name="unknown", unknown=unknown)
