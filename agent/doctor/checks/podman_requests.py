"""Podman ignores device requests that are not CDI."""

from __future__ import annotations

from agent.doctor.check import conclude, does_not_apply
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "podman_requests"


def check(evidence: Evidence) -> CheckOutcome:
    """Podman's Docker API takes a request with driver `cdi` and drops every other unsaid."""
    runtime = evidence.facts.runtime
    if runtime.name != "Podman":
        return does_not_apply(NAME, "the runtime is not Podman")
    return conclude(
        NAME,
        [
            Finding(
                code="container.request_ignored",
                severity="error",
                subject=f"container/{container.id}",
                title=f"Podman ignored the GPU request of {container.name}",
                cause="The container was created with a device request that is not CDI. Podman "
                "drops it without an error, so the container runs on the CPU.",
                mend="Create it again with a CDI device: `podman run --device nvidia.com/gpu="
                f"{_device(container.gpus)} ...`, or in Compose `driver: cdi` with "
                f'`device_ids: ["nvidia.com/gpu={_device(container.gpus)}"]`.',
                evidence={"asked_for": ", ".join(container.gpus) or "unknown"},
            )
            for container in evidence.containers
            if container.gpu_way == "device_request"
        ],
    )


def _device(gpus: list[str]) -> str:
    return gpus[0] if gpus else "all"
