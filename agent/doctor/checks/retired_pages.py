"""Memory pages that wait to be retired (GPUs before Ampere)."""

from __future__ import annotations

from agent.doctor.check import conclude, does_not_apply, without_gpus
from agent.doctor.commands import reset_gpu
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding

NAME = "retired_pages"

DO_NOT_HAVE_IT = ("not_supported", "function_missing")


def check(evidence: Evidence) -> CheckOutcome:
    """A pending page is still in use until the driver starts anew.

    Source: NVIDIA, Dynamic Page Retirement, "Visibility".
    """
    report = evidence.gpus
    if (ended := without_gpus(NAME, evidence)) is not None:
        return ended
    health = {entry.uuid: entry for entry in report.health}
    findings: list[Finding] = []
    unknown: list[str] = []
    told = False
    for gpu in report.gpus:
        entry = health.get(gpu.uuid)
        pending = entry.retired_pages_pending if entry is not None else None
        if entry is None or pending is None:
            reason = "not read yet"
            if entry is not None:
                reason = entry.unknown.get("retired_pages_pending", "not read")
            if reason not in DO_NOT_HAVE_IT:
                told = True
                unknown.append(f"GPU {gpu.index}: {reason}")
            continue
        told = True
        if pending:
            counts = {
                "single_bit": entry.retired_pages_single_bit,
                "double_bit": entry.retired_pages_double_bit,
            }
            findings.append(
                Finding(
                    code="gpu.retired_pages_pending",
                    severity="warning",
                    subject=f"gpu/{gpu.uuid}",
                    title=f"GPU {gpu.index}: a bad memory page waits to be retired",
                    cause="A memory page failed and is still in use; the driver leaves it out "
                    "only when it starts anew.",
                    mend="At a time that suits, stop what uses the GPU, then "
                    f"{reset_gpu(gpu.uuid)} or `sudo reboot`. "
                    f"`nvidia-smi -q -d PAGE_RETIREMENT -i {gpu.uuid}` has the figures.",
                    evidence={k: str(v) for k, v in counts.items() if v is not None},
                )
            )
    if not told:
        return does_not_apply(NAME, "no GPU here retires memory pages")
    return conclude(NAME, findings, unknown)
