"""What holds for an image on a node as a whole: CPU, runtime, driver, and the way to a GPU."""

from __future__ import annotations

from agent.protocol.compatibility import Ability, ImageNeeds, Reason
from agent.protocol.node import NodeFacts
from agent.rules.cases import PODMAN, is_tegra

CPU_SOURCE = "OCI image specification, config"
WAY_SOURCE = "NVIDIA Container Toolkit, installation guide"
DRIVER_SOURCE = "the driver's own answer (NVML)"
DOCTOR = "`roost doctor NODE` says why, and what to do."
# Why an image for servers may do nothing on a Jetson.
TEGRA_SOURCE = "NVIDIA, CUDA for Tegra: no binary compatibility with desktop and server GPUs"

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "i386": "386",
    "i686": "386",
    "armhf": "arm",
    "armv7l": "arm",
}
# What else a CPU runs: the second of a pair is not on every such CPU.
_ALSO_RUNS: dict[tuple[str, str], Ability] = {("amd64", "386"): "runs", ("arm64", "arm"): "warns"}
# Variants that every CPU of the architecture has.
_PLAIN_VARIANTS = {"", "v1", "v8", "v8.0", "8"}

_NO_DRIVER = {
    "no_library": "The NVIDIA driver is not installed: libnvidia-ml.so.1 is not there.",
    "driver_not_loaded": "The NVIDIA kernel module is not loaded.",
    "driver_mismatch": "The loaded kernel module and the driver's libraries are of different "
    "versions (CUDA error 803).",
}
# L4T's majors whose images find CUDA on the host: they run there and nowhere else.
_HOST_CUDA_L4T = {"32"}


def node_reasons(needs: ImageNeeds, facts: NodeFacts, way: str | None) -> list[Reason]:
    """All that is in the way, or may be, before a single GPU is looked at."""
    reasons = [*_cpu(needs, facts), *_runtime(facts)]
    if not needs.wants_gpu:
        return reasons
    state = facts.gpu_stack.state
    if state == "no_gpu":
        what = "The image wants a GPU, and the node has none."
        reasons.append(_fails("gpu.none", what, "A node with an NVIDIA GPU.", DRIVER_SOURCE))
        return reasons
    if state in _NO_DRIVER:
        reasons.append(_fails(f"driver.{state}", _NO_DRIVER[state], DOCTOR, DRIVER_SOURCE))
    elif state not in ("ok", "simulated"):
        told = facts.gpu_stack.reason or state
        what = f"The GPU driver does not tell what is there: {told}."
        reasons.append(_unknown("driver.unknown", what, DOCTOR, DRIVER_SOURCE))
    elif not facts.gpus:
        what = "The image wants a GPU, and the driver shows none."
        reasons.append(_fails("gpu.none", what, DOCTOR, DRIVER_SOURCE))
    if way is None:
        reasons += _no_way(facts)
    return [*reasons, *_jetson(needs, facts)]


def _cpu(needs: ImageNeeds, facts: NodeFacts) -> list[Reason]:
    if needs.os.lower() != "linux":
        what = f"The image is for {needs.os}, the node runs Linux."
        return [_fails("image.os", what, "Take an image for Linux.", CPU_SOURCE)]
    image, host = _architecture(needs.architecture), _architecture(facts.host.architecture)
    if not image or not host:
        what = "The CPU that the image is for, or the node's, is not known."
        return [_unknown("cpu.unknown", what, "Name the platform in the image.", CPU_SOURCE)]
    ability: Ability = "runs" if image == host else _ALSO_RUNS.get((host, image), "fails")
    if ability == "fails":
        what = f"The image is for {image} CPUs, the node's is {host}."
        return [_fails("cpu.architecture", what, f"Take the image for {host}.", CPU_SOURCE)]
    if ability == "warns":
        what = f"The image is for 32-bit {image}, which not every {host} CPU runs."
        return [_warns("cpu.architecture", what, f"Take the image for {host}.", CPU_SOURCE)]
    if image in ("amd64", "arm64") and needs.variant.lower() not in _PLAIN_VARIANTS:
        what = f"The image is for {image}/{needs.variant}: whether this CPU is one is not known."
        return [_warns("cpu.variant", what, f"Take the plain image for {image}.", CPU_SOURCE)]
    return []


def _architecture(name: str) -> str:
    return _ARCHITECTURES.get(name.lower(), name.lower())


def _runtime(facts: NodeFacts) -> list[Reason]:
    state, told = facts.runtime.state, facts.runtime.reason
    more = f": {told}." if told else "."
    if state == "not_found":
        return [_fails("runtime.not_found", f"No container runtime is there{more}", DOCTOR, "")]
    if state in ("unreachable", "no_permission"):
        what = f"The container runtime does not answer{more}"
        return [_unknown("runtime.unreachable", what, DOCTOR, "")]
    return []


def _no_way(facts: NodeFacts) -> list[Reason]:
    runtime, toolkit = facts.runtime, facts.toolkit
    if runtime.state not in ("ok", "simulated"):
        return []  # said already, and what it can do is not known
    parts = (toolkit.version, toolkit.ctk_path, toolkit.hook_path, toolkit.runtime_path)
    if not any(parts) and "version" in toolkit.unknown:
        what = f"Whether NVIDIA's toolkit is there is not known: {toolkit.unknown['version']}."
        return [_unknown("toolkit.unknown", what, DOCTOR, WAY_SOURCE)]
    if not any(parts) and not toolkit.cdi_specs:
        what = "The NVIDIA Container Toolkit is not installed: no container gets a GPU."
        mend = "Install nvidia-container-toolkit; `roost doctor NODE` has the commands."
        return [_fails("toolkit.missing", what, mend, WAY_SOURCE)]
    if runtime.name == PODMAN:
        what = "There is no CDI specification, and Podman knows no other way to a GPU."
        mend = "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`."
        return [_fails("cdi.no_spec", what, mend, WAY_SOURCE)]
    mend = "`sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker`."
    if is_tegra(facts):
        what = "Docker has no runtime named nvidia, which hands out a Jetson's GPU."
        return [_fails("toolkit.no_nvidia_runtime", what, mend, WAY_SOURCE)]
    what = "The toolkit is there, and Docker has neither its hook, nor its runtime, nor CDI."
    return [_fails("toolkit.no_way", what, mend, WAY_SOURCE)]


def _jetson(needs: ImageNeeds, facts: NodeFacts) -> list[Reason]:
    made_for = needs.l4t
    for_jetson = made_for is not None or any(
        name.startswith("NVIDIA_REQUIRE_JETPACK") for name in needs.requires
    )
    if not is_tegra(facts):
        if not for_jetson:
            return []
        what = "The image is made for Jetson, and this node is none."
        return [_fails("jetson.image", what, "Take the image for servers.", TEGRA_SOURCE)]
    if not for_jetson:
        if not needs.cuda and not needs.tensorrt:
            return []
        what = (
            "The image does not say that it is made for Jetson: CUDA libraries for servers may "
            "have no code for its GPU."
        )
        mend = "Take an image with `l4t` or `igpu` in its name, if there is one."
        return [_warns("jetson.server_image", what, mend, TEGRA_SOURCE)]
    here = (facts.gpu_stack.l4t_version or "").partition(".")[0]
    wanted = made_for.version.removeprefix("r").partition(".")[0] if made_for else ""
    if not here or not wanted or here == wanted:
        return []
    what = f"The image is made for Jetson Linux {wanted}, this node has {here}."
    mend = f"Take the image for Jetson Linux {here}, or install JetPack with {wanted}."
    if {here, wanted} & _HOST_CUDA_L4T:
        return [_fails("jetson.l4t", what, mend, TEGRA_SOURCE)]
    return [_warns("jetson.l4t", what, mend, TEGRA_SOURCE)]


def _fails(code: str, what: str, mend: str, source: str) -> Reason:
    return _reason(code, "fails", what, mend, source)


def _unknown(code: str, what: str, mend: str, source: str) -> Reason:
    return _reason(code, "unknown", what, mend, source)


def _warns(code: str, what: str, mend: str, source: str) -> Reason:
    return _reason(code, "warns", what, mend, source)


def _reason(code: str, ability: Ability, what: str, mend: str, source: str) -> Reason:
    return Reason(
        code=code, ability=ability, what=what, mend=mend, source=source or "the node's facts"
    )
