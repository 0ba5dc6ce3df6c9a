"""Persistence mode is off."""

from __future__ import annotations

from agent.doctor.check import conclude, does_not_apply, without_gpus
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "persistence"


def check(evidence: Evidence) -> CheckOutcome:
    """Without it the driver lets go of a GPU that nobody uses, and sets it up anew each time."""
    if evidence.is_tegra:
        return does_not_apply(NAME, "a Jetson's GPU has no persistence mode")
    if (ended := without_gpus(NAME, evidence)) is not None:
        return ended
    findings: list[Finding] = []
    unknown: list[str] = []
    for gpu in evidence.gpus.gpus:
        if gpu.persistence is False:
            findings.append(
                Finding(
                    code="gpu.persistence_off",
                    severity="warning",
                    subject=f"gpu/{gpu.uuid}",
                    title=f"GPU {gpu.index}: persistence mode is off",
                    cause="The driver tears the GPU down when its last user leaves: the next one "
                    "waits for seconds, and clocks and limits are lost.",
                    mend="`sudo systemctl enable --now nvidia-persistenced`; for now, until the "
                    f"next boot: `sudo nvidia-smi -i {gpu.uuid} -pm 1`.",
                )
            )
        elif gpu.persistence is None:
            reason = gpu.unknown.get("persistence", "not read")
            unknown.append(f"GPU {gpu.index}: {reason}")
    return conclude(NAME, findings, unknown)
