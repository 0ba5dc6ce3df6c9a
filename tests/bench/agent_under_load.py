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


def main() -> None:
    config, folder, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    scene = scenario.h200(folder / "scenario", count)
    scene.save()
    version = scene.lines["sys.driver"]
    module = folder / "proc/driver/nvidia"
    module.mkdir(parents=True)
    (module / "version").write_text(f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}\n")
    (folder / "proc/self").symlink_to("/proc/self")
    device = folder / "sys/bus/pci/devices/0000:00:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030200\n")
    gpus = NvmlSource(
        library=str(StubBuilder(folder).library(version=version)),
        proc=folder / "proc",
        sys=folder / "sys",
        kernel_log=folder / "no-kernel-log",
    )
    asyncio.run(serve(load_settings(config), gpus))


if __name__ == "__main__":
    main()
