"""Podman ignores device requests that are not CDI."""

from __future__ import annotations

from agent.doctor.check import conclude, does_not_apply
from agent.doctor.evidence import Evidence
from agent.protocol.containers import Container
from agent.protocol.findings import CheckOutcome, Finding

NAME = "podman_requests"

NO_GPU = ("", "void", "none")


def check(evidence: Evidence) -> CheckOutcome:
    """Podman's Docker API takes a request with driver `cdi` and drops every other unsaid.

    Its inspect shows nothing of a dropped request (seen on 4.3.1), so a container is known by
    NVIDIA_VISIBLE_DEVICES in its environment and no device in its /dev. CUDA's images set that
    variable too, whether their user wants a GPU or not: a warning, where a request that is still
    to be seen is an error.
    """
    if evidence.facts.runtime.name != "Podman":
        return does_not_apply(NAME, "the runtime is not Podman")
    if not evidence.has_gpus:
        return does_not_apply(NAME, "no GPU that containers could use")
    findings: list[Finding] = []
    unknown: list[str] = []
    for container in evidence.containers:
        look = evidence.inside.get(container.id)
        if container.gpu_way == "device_request":
            findings.append(_dropped(container))
        elif container.gpu_way != "none" or container.state != "running":
            continue
        elif evidence.facts.agent.simulated:
            continue  # it has no environment and no devices to look at
        elif look is None:
            unknown.append(f"{container.name}: not looked into")
        elif look.sees is None:
            unknown.append(f"{container.name}: {look.reason}")
        elif not look.sees and (look.environment or "") not in NO_GPU:
            findings.append(_expects(container, look.environment or ""))
    return conclude(NAME, findings, unknown)


def _dropped(container: Container) -> Finding:
    device = container.gpus[0] if container.gpus else "all"
    return Finding(
        code="container.request_ignored",
        severity="error",
        subject=f"container/{container.id}",
        title=f"Podman ignored the GPU request of {container.name}",
        cause="The container was created with a device request that is not CDI. Podman drops it "
        "without an error, so the container runs on the CPU.",
        mend=_again(device),
        evidence={"asked_for": ", ".join(container.gpus) or "unknown"},
    )


def _expects(container: Container, visible: str) -> Finding:
    return Finding(
        code="container.request_ignored",
        severity="warning",
        subject=f"container/{container.id}",
        title=f"{container.name} expects a GPU, and Podman gave it none",
        cause=f"Its environment says NVIDIA_VISIBLE_DEVICES={visible}, which Podman does not heed; "
        "a request by `--gpus` it drops without an error or a trace.",
        mend=f"{_again('all')} If it needs no GPU: `-e NVIDIA_VISIBLE_DEVICES=void`.",
        evidence={"NVIDIA_VISIBLE_DEVICES": visible},
    )


def _again(device: str) -> str:
    return (
        f"Create it again with a CDI device: `podman run --device nvidia.com/gpu={device} ...`, or "
        f'in Compose with `driver: cdi` and `device_ids: ["nvidia.com/gpu={device}"]`.'
    )
