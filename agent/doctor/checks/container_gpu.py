"""A container that should see a GPU and does not."""

from __future__ import annotations

from typing import NamedTuple

from agent.doctor.check import conclude, does_not_apply
from agent.doctor.evidence import Evidence
from agent.doctor.inside import InsideLook, wants_gpu
from agent.protocol.containers import Container
from agent.protocol.findings import CheckOutcome, Finding
from agent.protocol.gpus import TEGRA_UUID, Gpu

NAME = "container_gpu"


def check(evidence: Evidence) -> CheckOutcome:
    """Compares what each container asked for with what was seen from inside it."""
    containers = [container for container in evidence.containers if wants_gpu(container)]
    if not containers:
        return does_not_apply(NAME, "no running container asked for a GPU")
    findings: list[Finding] = []
    unknown: list[str] = []
    for container in containers:
        look = evidence.inside.get(container.id)
        if look is None:
            unknown.append(f"{container.name}: not looked into")
        elif look.sees is None:
            unknown.append(f"{container.name}: {look.reason or 'no reason given'}")
        elif not look.sees:
            findings.append(_managed(evidence, container, _sees_none(evidence, container, look)))
        elif missing := _missing(evidence, container, look):
            finding = _sees_others(evidence, container, look, missing)
            findings.append(_managed(evidence, container, finding))
    return conclude(NAME, findings, unknown)


def _managed(evidence: Evidence, container: Container, finding: Finding) -> Finding:
    """Of a workload that Roost placed: what the agent does about it, or could."""
    workload = evidence.workload_of(container)
    if workload is None or workload.gpu is None:
        return finding
    finding.evidence["workload"] = workload.name
    if workload.gpu.on_lost == "recreate":
        said = workload.by_itself or "at its next look"
        finding.mend = f"The agent re-creates it: {said}. By hand: {finding.mend}"
    else:
        finding.mend += " x-roost.gpu.on_lost: recreate has the agent make it anew by itself."
    return finding


def _missing(evidence: Evidence, container: Container, look: InsideLook) -> list[str]:
    """Of the GPUs and MIG slices asked for, those that were looked for and not seen.

    A look at device nodes tells minor numbers, so a slice is looked for by its GPU's.
    """
    if look.tegra:
        return []
    missing: list[str] = []
    for wish in container.gpus:
        for uuid, gpu in _meant(evidence, container, wish):
            if uuid.startswith(TEGRA_UUID):
                continue  # it sees one, and there is only one, which has another name inside
            if look.way == "exec":
                # A whole GPU in MIG mode is seen through any of its slices.
                slices = {part.uuid for part in gpu.mig_instances} if uuid == gpu.uuid else set()
                seen = uuid in look.uuids or bool(slices & set(look.uuids))
            else:
                seen = gpu.minor is None or gpu.minor in look.minors
            if not seen and uuid not in missing:
                missing.append(uuid)
    return missing


def _meant(evidence: Evidence, container: Container, wish: str) -> list[tuple[str, Gpu]]:
    """What a wish means on this node: UUIDs with the GPU they are on. Unknown ones are left out.

    A wish is "all", an index, a UUID, "1:0" for a slice by its indexes, or a slice's UUID; of a
    container that was given device nodes it is their minor number.
    """
    meant: list[tuple[str, Gpu]] = []
    for gpu in evidence.gpus.gpus:
        number = gpu.minor if container.gpu_way == "devices" else gpu.index
        if wish in ("all", gpu.uuid, str(number)):
            meant.append((gpu.uuid, gpu))
        meant += [
            (part.uuid, gpu)
            for part in gpu.mig_instances
            if wish in (part.uuid, f"{gpu.index}:{part.index}")
        ]
    return meant


def _sees_none(evidence: Evidence, container: Container, look: InsideLook) -> Finding:
    why = _why(evidence, container, look)
    return Finding(
        code="container.gpu_not_visible",
        severity="error",
        subject=f"container/{container.id}",
        title=f"{container.name} asked for a GPU and sees none",
        cause=why.cause,
        mend=why.mend,
        evidence=_about(container, look),
    )


def _sees_others(
    evidence: Evidence, container: Container, look: InsideLook, missing: list[str]
) -> Finding:
    return Finding(
        code="container.gpu_not_visible",
        severity="error",
        subject=f"container/{container.id}",
        title=f"{container.name} does not see every GPU that it asked for",
        cause=f"Seen from inside, {', '.join(missing)} is not there.",
        mend=f"`{_tool(evidence)} restart {container.name}`. Indexes change when cards change "
        "places: ask for GPUs by UUID.",
        evidence={**_about(container, look), "missing": ", ".join(missing)},
    )


def _about(container: Container, look: InsideLook) -> dict[str, str]:
    seen = look.uuids or tuple(f"/dev/nvidia{minor}" for minor in look.minors)
    about = {
        "asked_for": ", ".join(container.gpus) or "any",
        "looked_by": look.way,
        "seen": ", ".join(seen) or "none",
    }
    if look.environment is not None:
        about["NVIDIA_VISIBLE_DEVICES"] = look.environment
    if look.reason is not None:
        about["said"] = look.reason
    return about


def _tool(evidence: Evidence) -> str:
    return "podman" if evidence.facts.runtime.name == "Podman" else "docker"


class _Why(NamedTuple):
    cause: str
    mend: str


def _why(evidence: Evidence, container: Container, look: InsideLook) -> _Why:
    stack = evidence.gpus.stack
    tool = _tool(evidence)
    restart = f"`{tool} restart {container.name}`"
    said = (look.reason or "").lower() if look.way == "exec" else ""
    if stack.state not in ("ok", "simulated"):
        return _Why(
            cause=f"The node's own driver does not work: {stack.reason or stack.state}.",
            mend="Mend the driver first; then start the container again.",
        )
    if evidence.facts.runtime.name == "Podman" and container.gpu_way == "device_request":
        return _Why(
            cause="Podman ignores device requests that are not CDI.",
            mend="Create it again with `--device nvidia.com/gpu=all`.",
        )
    if "version mismatch" in said:
        return _Why(
            cause="The container still has the libraries of the driver before the last upgrade.",
            mend=f"{restart}.",
        )
    if "unknown error" in said:
        return _Why(
            cause="It had the GPU and lost it: `systemctl daemon-reload` takes the right to the "
            "devices from containers that Docker did not declare to systemd.",
            mend=f"{restart}; if that does not help, create it again. To keep it from happening: "
            "CDI devices, or `sudo nvidia-ctk system create-dev-char-symlinks --create-all`, or "
            "native.cgroupdriver=cgroupfs in Docker's daemon.json.",
        )
    if "insufficient permissions" in said:
        return _Why(
            cause="The devices are in the container, and its user may not open them.",
            mend="`ls -l /dev/nvidia*` on the node says who may: run the container as that user, "
            "or set the driver's option NVreg_DeviceFileMode=0666 in /etc/modprobe.d.",
        )
    return _Why(
        cause="Nothing put the GPU into the container when it started, or it was taken away since.",
        mend=f"{restart}. If that does not help, look at the findings on the toolkit, the hook "
        f"and CDI, and at how it was created: `{tool} inspect {container.name}`.",
    )
