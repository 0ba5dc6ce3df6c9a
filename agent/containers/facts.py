"""From a runtime's `/version` and `/info` to its facts: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.protocol.node import ImageStore, RuntimeFacts

Json = Mapping[str, Any]

# How the containerd image store names itself among the storage driver's figures.
_CONTAINERD_STORE = "io.containerd.snapshotter.v1"


def is_podman(version: Json) -> bool:
    """Whether `/version` comes from Podman's compatible API."""
    return any(
        str(part.get("Name")).startswith("Podman") for part in version.get("Components") or []
    )


def runtime_facts(version: Json, info: Json, *, address: str, api_version: str) -> RuntimeFacts:
    """The runtime as it describes itself."""
    podman = is_podman(version)
    return RuntimeFacts(
        state="ok",
        name="Podman" if podman else "Docker Engine",
        version=version.get("Version") or None,
        api_version=api_version,
        address=address,
        image_store="podman" if podman else _image_store(info),
        storage_driver=info.get("Driver") or None,
        root_dir=info.get("DockerRootDir") or None,
        runtimes=sorted(info.get("Runtimes") or {}),
        default_runtime=info.get("DefaultRuntime") or None,
        cgroup_driver=info.get("CgroupDriver") or None,
        cgroup_version=info.get("CgroupVersion") or None,
        cdi_devices=[
            str(device.get("ID"))
            for device in info.get("DiscoveredDevices") or []
            if device.get("Source") == "cdi"
        ],
        cdi_spec_dirs=list(info.get("CDISpecDirs") or []),
        rootless=bool(info.get("Rootless")) or _secured_by(info, "rootless"),
    )


def _image_store(info: Json) -> ImageStore:
    for entry in info.get("DriverStatus") or []:
        if "driver-type" in entry and _CONTAINERD_STORE in entry:
            return "containerd"
    return "graphdriver"


def _secured_by(info: Json, name: str) -> bool:
    return any(f"name={name}" in option for option in info.get("SecurityOptions") or [])
