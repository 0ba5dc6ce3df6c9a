"""A healthy node's evidence, and ways to change it."""

from __future__ import annotations

from typing import Any

import msgspec

from agent.doctor.daemon import DaemonLook
from agent.doctor.evidence import Evidence
from agent.doctor.inside import InsideLook
from agent.doctor.system import SystemLook
from agent.host.cdi import CdiSpec
from agent.protocol.containers import Container
from agent.protocol.deployments import WorkloadStatus
from agent.protocol.engines import Engine
from agent.protocol.findings import CheckOutcome
from agent.protocol.gpus import Gpu, GpuHealth, GpuReport, GpuSample, GpuStack
from agent.protocol.node import (
    AgentInfo,
    Disk,
    HostFacts,
    NodeFacts,
    RuntimeFacts,
    ToolkitFacts,
)
from agent.protocol.telemetry import HostSample, Telemetry

NOW = 1_760_000_000.0
GIBIBYTE = 1024**3
A, B = "GPU-aaaa", "GPU-bbbb"
DETECTOR = "d" * 64
HOOK = "/usr/bin/nvidia-container-runtime-hook"


def gpu(uuid: str, index: int, **changes: Any) -> Gpu:
    """A healthy A10."""
    bus = f"00000000:0{index + 1}:00.0"
    made = Gpu(
        uuid=uuid, index=index, minor=index, name="NVIDIA A10", pci_bus_id=bus, persistence=True
    )
    return msgspec.structs.replace(made, **changes)


def container(name: str = "detector", **changes: Any) -> Container:
    """A running container without a GPU."""
    made = Container(
        id=DETECTOR,
        name=name,
        image="detector:1",
        image_id="sha256:" + "1" * 64,
        state="running",
        created_at=1.0,
        started_at=2.0,
    )
    return msgspec.structs.replace(made, **changes)


def spec(**changes: Any) -> CdiSpec:
    """A specification that fits the healthy node."""
    made = CdiSpec(
        path="/etc/cdi/nvidia.yaml",
        kind="nvidia.com/gpu",
        devices=("0", "1", A, B, "all"),
        driver_versions=("535.183.01",),
    )
    return msgspec.structs.replace(made, **changes)


class Patient:
    """The parts of a healthy node's evidence, each to be changed in place."""

    def __init__(self) -> None:
        self.agent = AgentInfo(version="0.1.0", api_version="1.0", boot="b", started_at=1.0)
        self.host = HostFacts(
            hostname="plant-7-a",
            os="Ubuntu 22.04.4 LTS",
            os_id="ubuntu",
            kernel="5.15.0-105-generic",
            architecture="amd64",
            cpu_count=8,
            memory_total_bytes=32 * GIBIBYTE,
        )
        self.stack = GpuStack(
            state="ok",
            source="nvml",
            driver_version="535.183.01",
            module_version="535.183.01",
            library_version="535.183.01",
        )
        self.gpus = [gpu(A, 0), gpu(B, 1)]
        self.report = GpuReport(
            stack=self.stack,
            samples=[GpuSample(uuid=A), GpuSample(uuid=B)],
            health=[
                GpuHealth(
                    uuid=uuid,
                    remap_pending=False,
                    remap_failed=False,
                    unknown={"retired_pages_pending": "not_supported"},
                )
                for uuid in (A, B)
            ],
        )
        self.toolkit = ToolkitFacts(
            version="1.17.8", mode="auto", hook_path=HOOK, ctk_path="/usr/bin/nvidia-ctk"
        )
        self.runtime = RuntimeFacts(
            state="ok",
            name="Docker Engine",
            version="28.5.2",
            address="unix:///var/run/docker.sock",
            runtimes=["nvidia", "runc"],
        )
        self.disks = [
            Disk(
                path="/",
                purposes=["system", "runtime", "roost"],
                total_bytes=500 * GIBIBYTE,
                free_bytes=200 * GIBIBYTE,
            )
        ]
        self.more: dict[str, Any] = {
            "host": HostSample(),
            "system": SystemLook(
                daemon=DaemonLook(pid=7, path="/usr/bin:/bin", hook=HOOK), cdi_specs=(spec(),)
            ),
        }

    def use_podman(self) -> None:
        """The runtime is Podman instead of Docker."""
        self.runtime = RuntimeFacts(state="ok", name="Podman", version="5.4.2")

    def use_jetson(self) -> None:
        """The machine is a Jetson with its one GPU."""
        self.stack = GpuStack(state="ok", source="tegra", l4t_version="36.4.0")
        self.gpus = [gpu("TEGRA-142", 0, minor=None, persistence=None, unified_memory=True)]
        self.report.samples = [GpuSample(uuid="TEGRA-142")]
        self.report.health = []

    def use_no_gpu(self) -> None:
        """No NVIDIA GPU in the machine."""
        self.stack = GpuStack(state="no_gpu", source="none")
        self.forget_gpus()

    def forget_gpus(self) -> None:
        """The driver does not work, so no GPU is listed."""
        self.gpus, self.report.samples, self.report.health = [], [], []

    def runs(self, *containers: Container, inside: InsideLook | None = None) -> None:
        """The node has these containers, all seen from inside alike."""
        self.more["containers"] = containers
        if inside is not None:
            self.more["inside"] = {one.id: inside for one in containers}

    def evidence(self) -> Evidence:
        """What a doctor is shown."""
        facts = NodeFacts(
            name="plant-7-a",
            agent=self.agent,
            host=self.host,
            gpu_stack=self.stack,
            gpus=self.gpus,
            toolkit=self.toolkit,
            runtime=self.runtime,
            disks=self.disks,
        )
        report = msgspec.structs.replace(self.report, stack=self.stack, gpus=self.gpus)
        return Evidence(at=NOW, facts=facts, gpus=report, **self.more)


class Latest:
    latest = Telemetry(at=NOW, host=HostSample())


class FakeNode:
    """What an examiner asks of a node, over a patient."""

    def __init__(self, patient: Patient) -> None:
        self._evidence = patient.evidence()
        self.sampler = Latest()

    @property
    def facts(self) -> NodeFacts:
        return self._evidence.facts

    def gpu_report(self) -> GpuReport:
        return self._evidence.gpus

    async def workload_report(self) -> tuple[WorkloadStatus, ...] | None:
        return self._evidence.workloads

    async def engine_report(self) -> tuple[Engine, ...] | None:
        return self._evidence.engines


def codes(outcome: CheckOutcome) -> list[tuple[str, str]]:
    """Code and subject of every finding; asserts that each says why and what to do."""
    for finding in outcome.findings:
        assert finding.cause.endswith("."), finding.cause
        assert finding.mend
        assert finding.title
    return [(finding.code, finding.subject) for finding in outcome.findings]
