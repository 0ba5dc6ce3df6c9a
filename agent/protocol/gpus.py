"""GPUs on the wire: what they are, what they do now, and who uses them.

Every figure that can be unknown is None and then has an entry in `unknown`: field name to
reason. Reasons are stable words: `not_supported`, `no_permission`, `gpu_lost`, `mig`,
`function_missing`, `not_ready`, `error:<nvml code>`, `hung`, `reset_required`, `no_process` (its
PID is not in procfs), and the stack's state where that is why.
"""

from __future__ import annotations

from typing import Literal

import msgspec

# NVML_BRAND_*, in the words that libnvidia-container compares `brand=` with; 0 is a brand, too.
NVML_BRANDS = {
    0: "unknown",
    1: "quadro",
    2: "tesla",
    3: "nvs",
    4: "grid",
    5: "geforce",
    6: "titan",
    7: "vapps",
    8: "vpc",
    9: "vcs",
    10: "vws",
    11: "cloudgaming",
    12: "quadrortx",
    13: "nvidiartx",
    14: "nvidia",
    15: "geforcertx",
    16: "titanrtx",
}

# How the UUID begins that the GPU of a Jetson gets here, before its machine's serial number: it has
# none of its own that anything else knows.
TEGRA_UUID = "TEGRA-"

GpuState = Literal["ok", "lost", "reset_required", "hung", "error"]

# Where the figures come from, or why there are none.
GpuStackState = Literal[
    "ok",
    "simulated",
    "no_gpu",  # no NVIDIA device on the PCI bus and no Tegra GPU
    "no_library",  # libnvidia-ml.so.1 is not there
    "driver_not_loaded",
    "driver_mismatch",  # loaded kernel module and library differ: reboot or reload needed
    "no_permission",
    "hung",  # a call into the driver does not come back
    "error",
]


class MigInstance(msgspec.Struct, kw_only=True):
    """A MIG device: a slice of a GPU with its own UUID."""

    uuid: str
    index: int
    gpu_instance_id: int | None = None
    compute_instance_id: int | None = None
    profile: str | None = None  # "1g.10gb"
    memory_total_bytes: int | None = None


class Gpu(msgspec.Struct, kw_only=True):
    """What a GPU is; changes only with hardware, driver or MIG layout."""

    uuid: str
    index: int  # NVML's order; may change after a reseat or a reboot, so never a pin
    name: str
    minor: int | None = None  # N of /dev/nvidiaN
    pci_bus_id: str | None = None  # "00000000:01:00.0"
    compute_capability: str | None = None  # "8.6"
    architecture: str | None = None  # "ampere"
    brand: str | None = None  # of NVML_BRANDS: "tesla", "geforce", "nvidia"
    memory_total_bytes: int | None = None
    unified_memory: bool = False  # memory is the system's (Jetson, GB10)
    power_limit_watts: float | None = None
    persistence: bool | None = None
    ecc: bool | None = None
    mig: bool | None = None
    mig_instances: list[MigInstance] = []
    pcie_link_generation: int | None = None
    pcie_link_width: int | None = None
    unknown: dict[str, str] = {}


class GpuSample(msgspec.Struct, kw_only=True):
    """What a GPU does at one moment, not rounded.

    `utilization_percent` is the share of time in which any kernel ran, not of capacity.
    """

    uuid: str
    state: GpuState = "ok"
    reason: str | None = None  # why the state is not ok, in words
    utilization_percent: float | None = None
    memory_utilization_percent: float | None = None
    encoder_percent: float | None = None
    decoder_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_reserved_bytes: int | None = None
    memory_total_bytes: int | None = None
    temperature_celsius: float | None = None
    memory_temperature_celsius: float | None = None
    power_watts: float | None = None
    energy_joules: float | None = None  # since the driver was loaded
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    fan_percent: float | None = None
    performance_state: int | None = None  # 0 is fastest
    throttle: list[str] = []  # "sw_power_cap", "sw_thermal", "hw_thermal", "hw_slowdown", ...
    pcie_replay_count: int | None = None
    unknown: dict[str, str] = {}


class GpuHealth(msgspec.Struct, kw_only=True):
    """Slow-changing counters of one GPU, read every minute."""

    uuid: str
    remapped_correctable: int | None = None
    remapped_uncorrectable: int | None = None
    remap_pending: bool | None = None  # a reset will remap
    remap_failed: bool | None = None  # replace the GPU
    retired_pages_pending: bool | None = None
    retired_pages_single_bit: int | None = None
    retired_pages_double_bit: int | None = None
    ecc_corrected_volatile: int | None = None
    ecc_uncorrected_volatile: int | None = None
    ecc_corrected_aggregate: int | None = None
    ecc_uncorrected_aggregate: int | None = None
    slowdown_celsius: float | None = None  # the GPU slows itself down from here on
    unknown: dict[str, str] = {}


class GpuProcess(msgspec.Struct, kw_only=True):
    """A process with memory on a GPU. `container` is None for a process of the host."""

    gpu_uuid: str
    pid: int
    kind: Literal["compute", "graphics", "mps"] = "compute"
    name: str | None = None
    memory_used_bytes: int | None = None
    mig_uuid: str | None = None
    container: str | None = None  # container id
    unknown: dict[str, str] = {}


class XidEvent(msgspec.Struct, kw_only=True):
    """A driver error report. `gpu_uuid` is None where only the PCI address is known."""

    code: int
    at: float  # Unix time, seconds
    gpu_uuid: str | None = None
    pci_bus_id: str | None = None
    text: str | None = None


class GpuStack(msgspec.Struct, kw_only=True):
    """Driver and libraries under the GPUs."""

    state: GpuStackState
    source: Literal["nvml", "tegra", "simulated", "none"]
    reason: str | None = None  # why the state is not ok, in words
    driver_version: str | None = None  # "535.183.01"
    cuda_version: str | None = None  # highest CUDA the driver can run, "12.2"
    nvml_version: str | None = None
    library_version: str | None = None  # of the libnvidia-ml file on disk
    module_version: str | None = None  # of the loaded kernel module
    l4t_version: str | None = None  # Jetson: "36.4.0"
    unknown: dict[str, str] = {}


class GpuReport(msgspec.Struct, kw_only=True):
    """`GET /v1/gpus`: all of it."""

    stack: GpuStack
    gpus: list[Gpu] = []
    samples: list[GpuSample] = []
    health: list[GpuHealth] = []
    processes: list[GpuProcess] = []
    xids: list[XidEvent] = []  # newest last, at most 100
