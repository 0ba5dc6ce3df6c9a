"""The NVIDIA Container Toolkit is not installed."""

from __future__ import annotations

from agent.doctor.check import conclude, could_not_tell, does_not_apply
from agent.doctor.commands import install
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "toolkit"


def check(evidence: Evidence) -> CheckOutcome:
    """Without the toolkit no container runtime can hand a GPU to a container."""
    facts = evidence.facts
    if not evidence.has_gpus:
        return does_not_apply(NAME, "no GPU that containers could use")
    if not evidence.runtime_answers:
        return does_not_apply(NAME, "no container runtime is reachable")
    toolkit = facts.toolkit
    parts = (toolkit.version, toolkit.ctk_path, toolkit.hook_path, toolkit.runtime_path)
    if any(parts) or toolkit.cdi_specs:
        return conclude(NAME, [])
    if "version" in toolkit.unknown:
        return could_not_tell(NAME, toolkit.unknown["version"])
    return conclude(
        NAME,
        [
            Finding(
                code="toolkit.missing",
                severity="error",
                subject="node",
                title="The NVIDIA Container Toolkit is not installed",
                cause="The driver works, but nothing hands its devices and libraries to "
                "containers: they fail to start with `could not select device driver`.",
                mend=f"Add NVIDIA's package repository and "
                f"{install(facts.host, 'nvidia-container-toolkit')}, then {_configure(evidence)}.",
                evidence={"runtime": facts.runtime.name or "unknown"},
            )
        ],
    )


def _configure(evidence: Evidence) -> str:
    if evidence.facts.runtime.name == "Podman":
        return "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"
    return "`sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker`"
