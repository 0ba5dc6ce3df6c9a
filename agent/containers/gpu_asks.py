"""Which GPUs a container asked for, and by which of the four ways that there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from agent.rules.ways import NVIDIA_CDI

GpuWay = Literal["none", "cdi", "device_request", "runtime", "devices"]

_CDI_GPU = re.compile(r"[^/\s]+/gpu=.+")  # of any vendor
_NVIDIA_DEVICE = re.compile(r"/dev/nvidia(\d+)")
_NONE = {"", "void", "none"}


class GpuAsk(NamedTuple):
    """`gpus` as given: UUIDs, indices, "all"; a CDI device of another vendor by its full name."""

    gpus: list[str]
    way: GpuWay


def gpu_ask(host_config: Mapping[str, Any], environment: Iterable[str]) -> GpuAsk:
    """What an inspect answer says. Device requests win: the runtime looks at them first."""
    requests = host_config.get("DeviceRequests") or []
    if cdi := [name for request in requests for name in _cdi(request)]:
        return GpuAsk(cdi, "cdi")
    if asked := [name for request in requests for name in _requested(request)]:
        return GpuAsk(asked, "device_request")
    devices = host_config.get("Devices") or []
    paths = [str(device.get("PathOnHost") or "") for device in devices]
    if cdi := [_short(path) for path in paths if _CDI_GPU.fullmatch(path)]:
        return GpuAsk(cdi, "cdi")
    if host_config.get("Runtime") == "nvidia" and (visible := _visible(environment)):
        return GpuAsk(visible, "runtime")
    if nodes := [found[1] for path in paths if (found := _NVIDIA_DEVICE.fullmatch(path))]:
        return GpuAsk(nodes, "devices")
    return GpuAsk([], "none")


def _cdi(request: Mapping[str, Any]) -> list[str]:
    if request.get("Driver") != "cdi":
        return []
    return [_short(name) for name in request.get("DeviceIDs") or [] if _CDI_GPU.fullmatch(name)]


def _requested(request: Mapping[str, Any]) -> list[str]:
    driver = str(request.get("Driver") or "")
    capabilities = {name for group in request.get("Capabilities") or [] for name in group}
    if driver == "cdi" or not (driver.startswith("nvidia") or capabilities & {"gpu", "nvidia"}):
        return []
    if ids := request.get("DeviceIDs"):
        return [str(name) for name in ids]
    count = int(request.get("Count") or 0)
    # dockerd turns a count into the first indices, and a negative one into all.
    return ["all"] if count < 0 else [str(index) for index in range(count)]


def _visible(environment: Iterable[str]) -> list[str]:
    value = ""
    for entry in environment:
        name, _, text = entry.partition("=")
        if name == "NVIDIA_VISIBLE_DEVICES":
            value = text.strip()  # the last one counts
    return [] if value in _NONE else [_short(name.strip()) for name in value.split(",")]


def _short(name: str) -> str:
    return name.removeprefix(NVIDIA_CDI)
