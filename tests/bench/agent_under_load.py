"""The real agent with stub GPUs under the real pynvml: `python -m tests.bench.agent_under_load`.

Takes agent.yaml, a folder for the stub driver, and the number of GPUs.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from agent.cli.serve import serve
from agent.gpu.nvml import NvmlSource
from agent.settings import load_settings
from tests.nvml_stub import scenario
from tests.nvml_stub.build import StubBuilder


def stub_gpus(folder: Path, count: int) -> NvmlSource:
    """So many H200s that a stub driver in `folder` tells of."""
    scene = scenario.h200(folder / "scenario", count)
    scene.save()
    version = scene.lines["sys.driver"]
    module = folder / "proc/driver/nvidia"
    device = folder / "sys/bus/pci/devices/0000:00:00.0"
    if not module.exists():
        module.mkdir(parents=True)
        (folder / "proc/self").symlink_to("/proc/self")
        device.mkdir(parents=True)
    (module / "version").write_text(f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}\n")
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030200\n")
    return NvmlSource(
        library=str(StubBuilder(folder).library(version=version)),
        proc=folder / "proc",
        sys=folder / "sys",
        kernel_log=folder / "no-kernel-log",
    )


def main() -> None:
    config, folder, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    gpus = stub_gpus(folder, count)
    asyncio.run(serve(load_settings(config), gpus))


if __name__ == "__main__":
    main()
