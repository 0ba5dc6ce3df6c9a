"""Which reader this machine's GPUs need."""

from __future__ import annotations

from pathlib import Path

from agent.gpu import driver_files
from agent.gpu.nvml import NvmlSource
from agent.gpu.source import GpuSource
from agent.gpu.tegra import TegraSource
from agent.gpu.tegra_files import is_tegra, l4t_version

# JetPack 7's. From here on NVML knows the Jetson's own GPU.
FIRST_L4T_WITH_NVML = 38


def gpu_source(root: Path = Path("/")) -> GpuSource:
    """sysfs for a Jetson before JetPack 7 without a graphics card, NVML for all others."""
    if not is_tegra(root) or driver_files.gpus_on_pci(root / "sys"):
        return NvmlSource()
    version = l4t_version(root)
    if version is not None and int(version.partition(".")[0]) >= FIRST_L4T_WITH_NVML:
        return NvmlSource()
    return TegraSource(root=root)
