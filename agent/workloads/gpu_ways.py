"""How a recipe says which GPUs a container gets; `agent.rules.ways` says by which way."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.containers.gpu_asks import gpu_ask
from agent.protocol.deployments import GpuWay
from agent.protocol.gpus import TEGRA_UUID
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.rules.ways import NVIDIA_CDI, best_way, known_cdi, ways
from agent.workloads.recipe import Recipe

Json = Mapping[str, Any]

VISIBLE, CAPABILITIES = "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"
_NODE = re.compile(r"/dev/nvidia(\d+)")


def way_of(facts: NodeFacts) -> GpuWay:
    """The best way there is. Raises ProblemError `gpu.no_way`."""
    way = best_way(facts)
    if way is not None:
        return way
    raise ProblemError(
        "gpu.no_way",
        f"no GPU can get into a container of {facts.name}: "
        + "; ".join(each.why for each in ways(facts)),
        params={"node": facts.name},
        hint="Install the NVIDIA Container Toolkit, then `nvidia-ctk cdi generate"
        " --output=/var/run/cdi/nvidia.yaml`, or `nvidia-ctk runtime configure` for Docker.",
    )


def with_gpus(
    recipe: Recipe,
    gpus: Sequence[str],
    way: GpuWay,
    *,
    cdi_names: Mapping[str, str],
    capabilities: Sequence[str] = (),
    tegra: bool = False,
) -> Recipe:
    """The recipe with these GPUs and no other.

    Args:
        gpus: UUIDs of GPUs or MIG slices.
        cdi_names: the CDI device of each UUID, as `cdi_names` found them just now.
        capabilities: NVIDIA_DRIVER_CAPABILITIES, unless the recipe says them already.
        tegra: the one GPU there is has no UUID that the toolkit takes.
    """
    bare = without_gpus(recipe)
    if not gpus or way == "none":
        return bare
    host = dict(bare.body.get("HostConfig") or {})
    env = list(bare.body.get("Env") or [])
    if capabilities and not any(entry.startswith(f"{CAPABILITIES}=") for entry in env):
        env.append(f"{CAPABILITIES}={','.join(capabilities)}")
    requests = list(host.get("DeviceRequests") or [])
    if way == "cdi":
        names = [cdi_names[uuid] for uuid in gpus]
        host["DeviceRequests"] = [*requests, {"Driver": "cdi", "DeviceIDs": names}]
        # CUDA images say "all", which the nvidia runtime would take where it is the default.
        env.append(f"{VISIBLE}=void")
    elif way == "device_request":
        request = {"Driver": "", "DeviceIDs": list(gpus), "Capabilities": [["gpu"]]}
        host["DeviceRequests"] = [*requests, request]
    else:
        host["Runtime"] = "nvidia"
        env.append(f"{VISIBLE}={'all' if tegra else ','.join(gpus)}")
    return msgspec.structs.replace(bare, body={**bare.body, "Env": env, "HostConfig": host})


def without_gpus(recipe: Recipe) -> Recipe:
    """The recipe without what any of the ways, or a device by hand, puts into it."""
    body = dict(recipe.body)
    host = dict(body.get("HostConfig") or {})
    host["DeviceRequests"] = [
        each for each in host.get("DeviceRequests") or [] if not _asks_nvidia(each)
    ]
    host["Devices"] = [
        each
        for each in host.get("Devices") or []
        if not _NODE.fullmatch(str(each.get("PathOnHost") or ""))
        and not str(each.get("PathOnHost") or "").startswith(NVIDIA_CDI)
    ]
    if host.get("Runtime") == "nvidia":
        host.pop("Runtime")
    body["Env"] = [entry for entry in body.get("Env") or [] if not entry.startswith(f"{VISIBLE}=")]
    body["HostConfig"] = {key: value for key, value in host.items() if value != []}
    return msgspec.structs.replace(recipe, body=body)


def asks_gpus(recipe: Recipe) -> bool:
    """Whether anything in it, by any of the ways, asks for a GPU."""
    host = recipe.body.get("HostConfig") or {}
    return gpu_ask(host, recipe.body.get("Env") or []).way != "none"


def cdi_names(facts: NodeFacts, gpus: Sequence[str]) -> dict[str, str]:
    """The CDI device of each UUID: by UUID where the spec has it, else by the index it has now.

    Raises:
        ProblemError: `gpu.no_cdi_device`.
    """
    known = known_cdi(facts)
    found = {}
    for uuid in gpus:
        names = [f"{NVIDIA_CDI}{each}" for each in (uuid, *_indices(facts, uuid))]
        fit = [name for name in names if name in known]
        if not fit:
            raise ProblemError(
                "gpu.no_cdi_device",
                f"no CDI device is named {' or '.join(names)}",
                params={"gpu": uuid},
                hint="The CDI spec is older than the driver or the MIG layout: run `nvidia-ctk cdi"
                " generate --output=/var/run/cdi/nvidia.yaml`.",
            )
        found[uuid] = fit[0]
    return found


def _indices(facts: NodeFacts, uuid: str) -> list[str]:
    if uuid.startswith(TEGRA_UUID):  # a Jetson's specification may name nothing else
        return ["0", "all"]
    for gpu in facts.gpus:
        if gpu.uuid == uuid:
            return [str(gpu.index)]
        for slice_ in gpu.mig_instances:
            if slice_.uuid == uuid:
                return [f"{gpu.index}:{slice_.index}"]
    return []


def _asks_nvidia(request: Json) -> bool:
    driver = str(request.get("Driver") or "")
    if driver == "cdi":
        return any(str(name).startswith(NVIDIA_CDI) for name in request.get("DeviceIDs") or [])
    capabilities = {name for group in request.get("Capabilities") or [] for name in group}
    return driver.startswith("nvidia") or bool(capabilities & {"gpu", "nvidia"})
