"""A container's GPU device nodes and NVIDIA_VISIBLE_DEVICES, seen through /proc."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import msgspec

from agent.host.reading import read_text, reason_of

# Major number of /dev/nvidiaN, fixed by the kernel's list of devices.
NVIDIA_MAJOR = 195
CONTROL_MINORS = (254, 255)  # /dev/nvidia-modeset, /dev/nvidiactl

# Nodes of a Jetson's own GPU; the first is L4T's older name, the second JetPack 6's.
TEGRA_NODES = ("nvhost-gpu", "nvgpu")

_GPU_NODE = re.compile(r"nvidia\d+$")


class DeviceNodes(msgspec.Struct, kw_only=True, frozen=True):
    """What is there. `reason` says why the nodes could not be looked at; then the rest is empty.

    A node that is there may still be closed to the container by its device cgroup.
    """

    minors: tuple[int, ...] = ()
    tegra: tuple[str, ...] = ()
    environment: str | None = None  # NVIDIA_VISIBLE_DEVICES of process 1
    reason: str | None = None


def look_at_nodes(container_id: str, pid: int, procfs: Path = Path("/proc")) -> DeviceNodes:
    """Look into the mount namespace of `pid`, process 1 of the container. Never raises.

    Args:
        container_id: All 64 digits. The process must be in a control group of that name, since
            an agent that does not share the host's process numbers would see someone else's.
    """
    process = procfs / str(pid)
    groups, reason = read_text(process / "cgroup")
    if groups is None:
        return DeviceNodes(reason=f"process {pid} of the container: {reason}")
    if container_id not in groups:
        return DeviceNodes(
            reason=f"process {pid} is not this container's as seen from the agent; "
            "run the agent with the host's process numbers (--pid=host)"
        )
    try:
        minors, tegra = _nodes(process / "root/dev")
    except OSError as error:
        return DeviceNodes(reason=f"the container's /dev: {reason_of(error)}")
    return DeviceNodes(minors=minors, tegra=tegra, environment=_visible(process))


def _nodes(folder: Path) -> tuple[tuple[int, ...], tuple[str, ...]]:
    minors: list[int] = []
    tegra: list[str] = []
    for name in sorted(entry.name for entry in folder.iterdir()):
        if name in TEGRA_NODES:
            tegra.append(name)
        elif _GPU_NODE.match(name):
            # lstat: a link in a container's /dev could point anywhere on the host
            node = os.lstat(folder / name)
            major, minor = os.major(node.st_rdev), os.minor(node.st_rdev)
            if stat.S_ISCHR(node.st_mode) and major == NVIDIA_MAJOR and minor not in CONTROL_MINORS:
                minors.append(minor)
    return tuple(sorted(minors)), tuple(tegra)


def _visible(process: Path) -> str | None:
    text, _ = read_text(process / "environ")
    for entry in (text or "").split("\0"):
        name, _, value = entry.partition("=")
        if name == "NVIDIA_VISIBLE_DEVICES":
            return value
    return None
