"""How a GPU can get into a container of a node, and how NVIDIA's toolkit then goes about it.

In this order: CDI, which needs no hook; a device request, which needs NVIDIA's hook beside
dockerd; the `nvidia` runtime, which is the one way on a Jetson. Podman takes CDI alone: it drops
other requests without a word (`facts/docker.md`).
"""

from __future__ import annotations

import msgspec

from agent.protocol.deployments import GpuWay
from agent.protocol.node import NodeFacts
from agent.rules.cases import PODMAN, is_tegra, podman_takes_cdi
from agent.rules.versions import numbers

NVIDIA_CDI = "nvidia.com/gpu="
CSV, CDI, LEGACY = "csv", "cdi", "legacy"
# From here on Docker lists the CDI devices that it knows, not only where it looks for them.
_API_LISTS_CDI = (1, 50)
# From here on the toolkit's own default for `runtime: nvidia` is CDI.
_CDI_BY_DEFAULT = (1, 18)


class WayFound(msgspec.Struct, kw_only=True, frozen=True):
    """One of the ways, and why it is or is not there."""

    way: GpuWay
    there: bool
    why: str


def ways(facts: NodeFacts) -> list[WayFound]:
    """All three, the best first, as this node has them now. The first that is there is taken."""
    return [_cdi(facts), _device_request(facts), _runtime(facts)]


def best_way(facts: NodeFacts) -> GpuWay | None:
    """The one that is taken; None: no GPU gets into a container."""
    return next((each.way for each in ways(facts) if each.there), None)


def known_cdi(facts: NodeFacts) -> set[str]:
    """CDI devices of NVIDIA GPUs, by full name.

    Podman does not list its own, and Docker before API 1.50 only says that it reads the usual
    folders: then it is what the agent reads there.
    """
    runtime = facts.runtime
    api = numbers(runtime.api_version) or _API_LISTS_CDI
    reads = runtime.name == PODMAN or (bool(runtime.cdi_spec_dirs) and api < _API_LISTS_CDI)
    named = [*runtime.cdi_devices, *(facts.toolkit.cdi_devices if reads else [])]
    return {name for name in named if name.startswith(NVIDIA_CDI)}


def toolkit_mode(facts: NodeFacts) -> str | None:
    """How the toolkit puts the GPU in: "cdi", "legacy", "csv"; None: nothing does."""
    way = best_way(facts)
    if way is None or way == "cdi":
        return way
    if way == "device_request":
        return LEGACY
    if is_tegra(facts):
        return CSV
    toolkit = facts.toolkit
    by_default = toolkit.mode in (None, "auto") and (
        (numbers(toolkit.version) or ()) >= _CDI_BY_DEFAULT
    )
    return CDI if toolkit.mode == "cdi" or by_default else LEGACY


def checks_requirements(mode: str | None) -> bool:
    """Whether NVIDIA's toolkit refuses a container over NVIDIA_REQUIRE_*: not with CDI."""
    return mode in (LEGACY, CSV)


def _cdi(facts: NodeFacts) -> WayFound:
    runtime, known = facts.runtime, known_cdi(facts)
    podman = runtime.name == PODMAN
    if podman and not podman_takes_cdi(runtime.version):
        why = f"Podman {runtime.version} drops CDI devices asked for through its API, 5.4 does not"
        return WayFound(way="cdi", there=False, why=why)
    if is_tegra(facts) and not podman:
        why = "Docker gets a Jetson's GPU by the nvidia runtime"
        return WayFound(way="cdi", there=False, why=why)
    if not known:
        return WayFound(way="cdi", there=False, why=f"no CDI device of {NVIDIA_CDI[:-1]} is known")
    count = f"{len(known)} CDI devices are known" if len(known) > 1 else "1 CDI device is known"
    return WayFound(way="cdi", there=True, why=count)


def _device_request(facts: NodeFacts) -> WayFound:
    why, hook = None, facts.toolkit.hook_path
    if facts.runtime.name == PODMAN:
        why = "Podman drops device requests"
    elif is_tegra(facts):
        why = "on Tegra the hook refuses device requests"
    elif not hook and not facts.agent.simulated:
        why = "nvidia-container-runtime-hook is not installed"
    there = f"the hook is {hook}" if hook else "simulated"
    return WayFound(way="device_request", there=why is None, why=why or there)


def _runtime(facts: NodeFacts) -> WayFound:
    podman, there = facts.runtime.name == PODMAN, "nvidia" in facts.runtime.runtimes
    why = "Podman has no nvidia runtime" if podman else "no runtime named nvidia is configured"
    return WayFound(
        way="runtime",
        there=there and not podman,
        why="the runtime has one named nvidia" if there and not podman else why,
    )
