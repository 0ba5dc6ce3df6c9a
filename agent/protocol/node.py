"""Facts about a node: `GET /v1/node`."""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.protocol.gpus import Gpu, GpuStack
from agent.protocol.upgrades import AgentUpgrade

RuntimeState = Literal["ok", "simulated", "not_found", "unreachable", "no_permission"]
ImageStore = Literal["graphdriver", "containerd", "podman", "memory"]


class AgentInfo(msgspec.Struct, kw_only=True):
    """The agent itself. `boot` names one run of it, and is the first part of event ids."""

    version: str
    api_version: str
    boot: str
    started_at: float  # Unix time, seconds
    capabilities: list[str] = []  # "containers", "exec", "metrics", ...
    simulated: bool = False
    # Which kit it runs from, and what became of the last upgrade; None: it is not from a kit.
    upgrade: AgentUpgrade | None = None
    role: str | None = None  # what the caller of this request may do


class HostFacts(msgspec.Struct, kw_only=True):
    """The machine and its operating system."""

    hostname: str
    os: str  # "Ubuntu 22.04.4 LTS"
    os_id: str | None = None  # "ubuntu"
    os_version: str | None = None  # "22.04"
    kernel: str
    architecture: str  # as images name it: "amd64", "arm64"
    machine: str | None = None  # DMI product or device-tree model
    cpu_model: str | None = None
    cpu_count: int
    memory_total_bytes: int
    boot_id: str | None = None
    booted_at: float | None = None
    timezone: str | None = None  # IANA: "Europe/Berlin"
    unknown: dict[str, str] = {}


class ToolkitFacts(msgspec.Struct, kw_only=True):
    """NVIDIA Container Toolkit. `version` None: not installed, unless `unknown` says why."""

    version: str | None = None
    mode: str | None = None  # of config.toml: "auto", "legacy", "cdi", "csv"
    hook_path: str | None = None  # nvidia-container-runtime-hook
    runtime_path: str | None = None  # nvidia-container-runtime
    ctk_path: str | None = None  # nvidia-ctk
    cdi_specs: list[str] = []  # files
    cdi_devices: list[str] = []  # what they name: "nvidia.com/gpu=GPU-..."
    unknown: dict[str, str] = {}


class RuntimeFacts(msgspec.Struct, kw_only=True):
    """The container runtime, as it describes itself."""

    state: RuntimeState
    reason: str | None = None
    name: str | None = None  # "Docker Engine", "Podman"
    version: str | None = None
    api_version: str | None = None  # negotiated
    address: str | None = None  # "unix:///var/run/docker.sock"
    image_store: ImageStore | None = None
    storage_driver: str | None = None
    root_dir: str | None = None
    runtimes: list[str] = []  # OCI runtimes: "runc", "nvidia"
    default_runtime: str | None = None
    cgroup_driver: str | None = None
    cgroup_version: str | None = None
    cdi_devices: list[str] = []  # "nvidia.com/gpu=GPU-..."; needs API 1.50
    cdi_spec_dirs: list[str] = []
    rootless: bool = False


class Disk(msgspec.Struct, kw_only=True):
    """A filesystem that Roost or the runtime fills."""

    path: str
    purposes: list[str]  # "system", "runtime", "roost"
    total_bytes: int
    free_bytes: int  # for an ordinary user, as df says
    filesystem: str | None = None


class NodeFacts(msgspec.Struct, kw_only=True):
    """All facts of a node.

    `now` is the node's clock when it answered `GET /v1/node`, Unix seconds. In the live picture
    it is None, as is `agent.role`, and free disk space is rounded: facts are quiet there.
    """

    name: str
    agent: AgentInfo
    host: HostFacts
    gpu_stack: GpuStack
    gpus: list[Gpu]
    toolkit: ToolkitFacts
    runtime: RuntimeFacts
    disks: list[Disk]
    now: float | None = None
