"""A GPU that the driver has lost."""

from __future__ import annotations

from agent.doctor.check import conclude, without_gpus
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "gpu_lost"


def check(evidence: Evidence) -> CheckOutcome:
    """The driver says that a GPU it knew does not answer on the PCI bus any more."""
    report = evidence.gpus
    if (ended := without_gpus(NAME, evidence)) is not None:
        return ended
    findings: list[Finding] = []
    states = {sample.uuid: sample for sample in report.samples}
    unknown = [f"GPU {gpu.index}: not read yet" for gpu in report.gpus if gpu.uuid not in states]
    for gpu in report.gpus:
        sample = states.get(gpu.uuid)
        if sample is None or sample.state != "lost":
            continue
        findings.append(
            Finding(
                code="gpu.lost",
                severity="critical",
                subject=f"gpu/{gpu.uuid}",
                title=f"GPU {gpu.index} ({gpu.name}) is lost",
                cause="The driver cannot reach the GPU on the PCI bus: the card, its slot, riser "
                "or power failed, it overheated, or the driver did.",
                mend="`sudo dmesg | grep -iE 'xid|pcie|aer'` says what happened first. "
                "`sudo reboot`; if it comes back lost, cut the power, reseat the card and check "
                "its power cable, and replace it if that does not help.",
                evidence={
                    "pci_bus_id": gpu.pci_bus_id or "unknown",
                    "reason": sample.reason or "the driver says: GPU is lost",
                },
            )
        )
    return conclude(NAME, findings, unknown)
