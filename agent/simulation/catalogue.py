"""The kinds of node that the simulation knows, with facts that go together.

Sources, by mark: [table] the installer of that CUDA release ships that driver; [nvml] recorded
on a real card; [seen] a daemon of that version was run and asked; [api] Docker's table of engine
and API versions; [jetpack] NVIDIA's release notes of JetPack 6.1; [smi] printed by nvidia-smi in
published outputs; [guess] plausible, not looked up.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.gpu.simulated import Board
from agent.protocol.decoding import from_plain
from agent.protocol.node import RuntimeFacts, ToolkitFacts
from agent.simulation.boards import A10, A100_MIG, H200, ORIN, RTX_4090, T4

GIBIBYTE = 1024**3
DOCKER_SOCKET = "unix:///var/run/docker.sock"
PODMAN_SOCKET = "unix:///run/podman/podman.sock"


class Machine(msgspec.Struct, kw_only=True, frozen=True):
    """The computer around the GPUs. All [guess], the kernels in the distribution's naming."""

    model: str
    os: str
    os_id: str
    os_version: str
    kernel: str
    architecture: str = "amd64"
    cpu_model: str | None = None
    cpu_count: int
    memory_bytes: int
    disk_bytes: int
    filesystem: str = "ext4"


class Driver(msgspec.Struct, kw_only=True, frozen=True):
    """What lies under the GPUs."""

    version: str
    cuda_version: str  # the highest that it can run
    nvml_version: str | None  # CUDA major and driver, as on the H200 [nvml]
    l4t_version: str | None = None


class NodeKind(msgspec.Struct, kw_only=True, frozen=True):
    """A node that many plants might have."""

    name: str
    machine: Machine
    runtime: RuntimeFacts
    board: Board | None = None
    gpu_count: int = 0
    driver: Driver | None = None
    toolkit: ToolkitFacts = msgspec.field(default_factory=ToolkitFacts)
    gpu_way: Literal["none", "cdi", "device_request", "runtime"] = "device_request"

    @property
    def label(self) -> str:
        """The value of the label gpu=."""
        return self.board.label if self.board else "none"


def _docker(version: str, api: str, **more: object) -> RuntimeFacts:
    facts: dict[str, object] = {
        "state": "simulated",
        "name": "Docker Engine",
        "version": version,
        "api_version": api,
        "address": DOCKER_SOCKET,
        "image_store": "graphdriver",
        "storage_driver": "overlay2",
        "root_dir": "/var/lib/docker",
        "runtimes": ["runc", "nvidia"],
        "default_runtime": "runc",
        "cgroup_driver": "systemd",
        "cgroup_version": "2",
    }
    return from_plain(facts | more, RuntimeFacts)


def _toolkit(version: str, mode: str = "auto", cdi: list[str] | None = None) -> ToolkitFacts:
    return ToolkitFacts(
        version=version,
        mode=mode,
        hook_path="/usr/bin/nvidia-container-runtime-hook",
        runtime_path="/usr/bin/nvidia-container-runtime",
        ctk_path="/usr/bin/nvidia-ctk",
        cdi_specs=cdi or [],
    )


_SERVER_2 = "Supermicro SYS-220GP-TNR"  # [guess]

KIND_T4 = NodeKind(
    name="t4",
    board=T4,
    gpu_count=2,
    driver=Driver(version="470.256.02", cuda_version="11.4", nvml_version="11.470.256.02"),  # [smi]
    machine=Machine(
        model="Dell Inc. PowerEdge R640",
        os="Ubuntu 20.04.6 LTS",
        os_id="ubuntu",
        os_version="20.04",
        kernel="5.4.0-216-generic",
        cpu_model="Intel(R) Xeon(R) Silver 4210 CPU @ 2.20GHz",
        cpu_count=20,
        memory_bytes=64 * GIBIBYTE,
        disk_bytes=480 * 10**9,
    ),
    # [seen] 20.10.24, API 1.41, overlay2
    runtime=_docker("20.10.24", "1.41", cgroup_driver="cgroupfs", cgroup_version="1"),
    toolkit=_toolkit("1.13.5"),
)

KIND_A10 = NodeKind(
    name="a10",
    board=A10,
    gpu_count=1,
    driver=Driver(version="535.183.01", cuda_version="12.2", nvml_version="12.535.183.01"),  # [smi]
    machine=Machine(
        model="HPE ProLiant DL380 Gen10 Plus",
        os="Ubuntu 22.04.4 LTS",
        os_id="ubuntu",
        os_version="22.04",
        kernel="5.15.0-122-generic",
        cpu_model="Intel(R) Xeon(R) Gold 5318Y CPU @ 2.10GHz",
        cpu_count=48,
        memory_bytes=128 * GIBIBYTE,
        disk_bytes=960 * 10**9,
    ),
    runtime=_docker("24.0.7", "1.43"),  # [api]
    toolkit=_toolkit("1.14.3"),
)

KIND_RTX_4090 = NodeKind(
    name="rtx4090",
    board=RTX_4090,
    gpu_count=2,
    driver=Driver(version="550.54.14", cuda_version="12.4", nvml_version="12.550.54.14"),  # [table]
    machine=Machine(
        model="ASUS Pro WS W790-ACE",
        os="Debian GNU/Linux 12 (bookworm)",
        os_id="debian",
        os_version="12",
        kernel="6.1.0-25-amd64",
        cpu_model="Intel(R) Xeon(R) w5-2455X",
        cpu_count=24,
        memory_bytes=128 * GIBIBYTE,
        disk_bytes=2000 * 10**9,
    ),
    runtime=_docker("26.1.5", "1.45"),  # [api]
    toolkit=_toolkit("1.16.2"),
)

KIND_ORIN = NodeKind(
    name="orin",
    board=ORIN,
    gpu_count=1,
    # [jetpack] L4T 36.4.0 with CUDA 12.6; the driver's number is [smi]
    driver=Driver(version="540.4.0", cuda_version="12.6", nvml_version=None, l4t_version="36.4.0"),
    machine=Machine(
        model="NVIDIA Jetson AGX Orin Developer Kit",
        os="Ubuntu 22.04.5 LTS",
        os_id="ubuntu",
        os_version="22.04",
        kernel="5.15.148-tegra",  # [jetpack]
        architecture="arm64",
        cpu_count=12,
        memory_bytes=64349028 * 1024,
        disk_bytes=256 * 10**9,
    ),
    runtime=_docker("27.5.1", "1.47", default_runtime="nvidia"),  # [api]
    toolkit=_toolkit("1.16.2"),
    gpu_way="runtime",
)

KIND_H200 = NodeKind(
    name="h200",
    board=H200,
    gpu_count=4,
    driver=Driver(  # [nvml]
        version="580.159.04", cuda_version="13.0", nvml_version="13.580.159.04"
    ),
    machine=Machine(
        model=_SERVER_2,
        os="Ubuntu 24.04.2 LTS",
        os_id="ubuntu",
        os_version="24.04",
        kernel="6.8.0-60-generic",
        cpu_model="INTEL(R) XEON(R) PLATINUM 8570",
        cpu_count=112,
        memory_bytes=1024 * GIBIBYTE,
        disk_bytes=7680 * 10**9,
    ),
    # [seen] 28.5.2, API 1.51, containerd store, discovered CDI devices
    runtime=_docker(
        "28.5.2",
        "1.51",
        image_store="containerd",
        storage_driver="overlayfs",
        cdi_spec_dirs=["/etc/cdi", "/var/run/cdi"],
    ),
    toolkit=_toolkit("1.18.0", cdi=["/var/run/cdi/nvidia.yaml"]),
    gpu_way="cdi",
)

KIND_A100_MIG = NodeKind(
    name="a100-mig",
    board=A100_MIG,
    gpu_count=1,
    driver=Driver(version="570.86.10", cuda_version="12.8", nvml_version="12.570.86.10"),  # [table]
    machine=Machine(
        model=_SERVER_2,
        os="Ubuntu 22.04.5 LTS",
        os_id="ubuntu",
        os_version="22.04",
        kernel="5.15.0-134-generic",
        cpu_model="AMD EPYC 7543 32-Core Processor",
        cpu_count=64,
        memory_bytes=256 * GIBIBYTE,
        disk_bytes=1920 * 10**9,
    ),
    runtime=_docker("27.5.1", "1.47"),  # [api]
    toolkit=_toolkit("1.17.8"),
)

KIND_PODMAN = NodeKind(
    name="podman",
    board=A10,
    gpu_count=1,
    driver=Driver(version="550.54.14", cuda_version="12.4", nvml_version="12.550.54.14"),  # [table]
    machine=Machine(
        model="Lenovo ThinkSystem SE455 V3",
        os="Debian GNU/Linux 13 (trixie)",
        os_id="debian",
        os_version="13",
        kernel="6.12.12-amd64",
        cpu_model="AMD EPYC 8324P 32-Core Processor",
        cpu_count=32,
        memory_bytes=96 * GIBIBYTE,
        disk_bytes=960 * 10**9,
        filesystem="xfs",
    ),
    runtime=RuntimeFacts(  # [seen] 5.8.6, its Docker API is 1.44
        state="simulated",
        name="Podman",
        version="5.8.6",
        api_version="1.44",
        address=PODMAN_SOCKET,
        image_store="podman",
        storage_driver="overlay",
        root_dir="/var/lib/containers/storage",
        runtimes=["crun", "runc"],
        default_runtime="crun",
        cgroup_driver="systemd",
        cgroup_version="2",
    ),
    toolkit=_toolkit("1.17.8", mode="cdi", cdi=["/etc/cdi/nvidia.yaml"]),
    gpu_way="cdi",
)

KIND_NO_GPU = NodeKind(
    name="no-gpu",
    machine=Machine(
        model="Intel(R) Client Systems NUC11TNHi5",
        os="Debian GNU/Linux 12 (bookworm)",
        os_id="debian",
        os_version="12",
        kernel="6.1.0-25-amd64",
        cpu_model="11th Gen Intel(R) Core(TM) i5-1135G7 @ 2.40GHz",
        cpu_count=8,
        memory_bytes=32 * GIBIBYTE,
        disk_bytes=500 * 10**9,
    ),
    runtime=_docker("24.0.7", "1.43", runtimes=["runc"]),  # [api]
    gpu_way="none",
)

# Those that are well; a fleet begins with one of each.
KINDS = (
    KIND_T4,
    KIND_A10,
    KIND_RTX_4090,
    KIND_ORIN,
    KIND_H200,
    KIND_A100_MIG,
    KIND_PODMAN,
)
# What the rest of a fleet is made of, in turn: many small nodes, few large ones.
COMMON_KINDS = (
    KIND_T4,
    KIND_ORIN,
    KIND_A10,
    KIND_T4,
    KIND_RTX_4090,
    KIND_ORIN,
    KIND_A10,
    KIND_T4,
    KIND_PODMAN,
)
