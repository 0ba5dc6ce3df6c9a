"""On a Jetson, containers get the GPU through runtime=nvidia."""

from __future__ import annotations

from agent.doctor.check import conclude, does_not_apply
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "jetson_runtime"


def check(evidence: Evidence) -> CheckOutcome:
    """Found when the runtime is not set up, and for containers that ask by `--gpus`."""
    runtime = evidence.facts.runtime
    if not evidence.is_tegra:
        return does_not_apply(NAME, "not a Jetson")
    if not evidence.runtime_answers or runtime.name == "Podman":
        return does_not_apply(NAME, "Docker Engine is not the runtime, or is not reachable")
    findings: list[Finding] = []
    if "nvidia" not in runtime.runtimes:
        findings.append(
            Finding(
                code="toolkit.no_nvidia_runtime",
                severity="error",
                subject="node",
                title="Docker has no runtime named nvidia",
                cause="A Jetson's GPU is handed to containers by that runtime, and Docker has "
                f"only: {', '.join(runtime.runtimes) or 'none'}.",
                mend="`sudo nvidia-ctk runtime configure --runtime=docker && "
                "sudo systemctl restart docker`.",
            )
        )
    findings += [
        Finding(
            code="container.needs_nvidia_runtime",
            severity="error",
            subject=f"container/{container.id}",
            title=f"{container.name} asks for the GPU in a way that a Jetson refuses",
            cause="It was created with `--gpus`. On a Jetson NVIDIA's hook may not be called "
            "directly, so the container fails at start.",
            mend="Create it again with `docker run --runtime=nvidia -e "
            "NVIDIA_VISIBLE_DEVICES=all ...`, or in Compose with `runtime: nvidia`.",
            evidence={"asked_for": ", ".join(container.gpus) or "unknown"},
        )
        for container in evidence.containers
        if container.gpu_way == "device_request"
    ]
    return conclude(NAME, findings)
