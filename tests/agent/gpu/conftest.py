"""The stub libnvidia-ml under the real pynvml, in this process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.gpu.nvml import NvmlSource
from agent.gpu.nvml_driver import Limits
from tests.nvml_stub import scenario as scenarios
from tests.nvml_stub.build import StubBuilder, Variant

# Calls may take long where many tests share a core; only tests of hanging calls are impatient.
QUICK = Limits(call=8.0, opening=8.0, patience=8.0, event_wait=0.05)
IMPATIENT = QUICK._replace(call=0.25, opening=0.35)


class FakeClock:
    """A clock that a test moves; only back-off looks at it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Node:
    """A machine as the GPU reader sees it: library, procfs, sysfs and kernel log."""

    def __init__(self, folder: Path, builder: StubBuilder) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.scenario = scenarios.Scenario(folder / "scenario")
        self.proc, self.sys = folder / "proc", folder / "sys"
        self.kernel_log = folder / "kmsg"
        self._builder = builder
        self._sources: list[NvmlSource] = []
        self.library = folder / "nothing.so"
        self.proc.mkdir()
        # The library's file is found in the real map of this process.
        (self.proc / "self").symlink_to("/proc/self")
        (self.proc / "meminfo").write_text("MemTotal:       131072000 kB\nMemFree: 1 kB\n")
        self.put_on_pci(1)
        os.mkfifo(self.kernel_log)
        # Open at both ends, so that it never ends; /dev/kmsg does not either.
        self._log = os.open(self.kernel_log, os.O_RDWR | os.O_NONBLOCK)

    def install(
        self,
        scenario: scenarios.Scenario,
        *,
        variant: Variant = "current",
        library_version: str | None = None,
        module_version: str | None = None,
    ) -> None:
        """A driver; library and kernel module have the scenario's version unless said."""
        version = scenario.lines["sys.driver"]
        self.scenario = scenario
        self.library = self._builder.library(variant, library_version or version)
        self.load_module(module_version or version)
        scenario.save()

    def load_module(self, version: str) -> None:
        place = self.proc / "driver/nvidia"
        place.mkdir(parents=True, exist_ok=True)
        (place / "version").write_text(
            f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Thu May 2 14:37:44 UTC\n"
            "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
        )

    def put_on_pci(self, gpus: int) -> None:
        devices = self.sys / "bus/pci/devices"
        for index in range(4):
            place = devices / f"0000:0{index}:00.0"
            place.mkdir(parents=True, exist_ok=True)
            (place / "vendor").write_text("0x10de\n" if index < gpus else "0x8086\n")
            (place / "class").write_text("0x030200\n")

    def log(self, line: str) -> None:
        """Write a record to the kernel log, as of 5 s after boot."""
        os.write(self._log, f"4,1,5000000,-;{line}\n".encode())

    def source(self, limits: Limits = QUICK) -> NvmlSource:
        source = NvmlSource(
            library=str(self.library),
            proc=self.proc,
            sys=self.sys,
            kernel_log=self.kernel_log,
            limits=limits,
            clock=self.clock,
        )
        self._sources.append(source)
        return source

    async def close(self) -> None:
        """Stop the sources, after everything that hangs was let go."""
        hangs = [key for key in self.scenario.lines if ".hang." in key or "keep_hanging" in key]
        for key in hangs:
            self.scenario.put(key, None)
        self.scenario.save()
        for source in self._sources:
            await source.stop()
        for thread in threading.enumerate():
            if thread.name in ("nvml", "xid events"):
                await asyncio.to_thread(thread.join, 5.0)
                assert not thread.is_alive(), thread
        os.close(self._log)


@pytest.fixture(scope="session")
def stub_builder(tmp_path_factory: pytest.TempPathFactory) -> StubBuilder:
    return StubBuilder(tmp_path_factory.mktemp("nvml-stub"))


@pytest.fixture
async def node(
    tmp_path: Path, stub_builder: StubBuilder, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Node]:
    monkeypatch.setenv(scenarios.ENVIRONMENT, str(tmp_path / "scenario"))
    node = Node(tmp_path, stub_builder)
    yield node
    await node.close()
