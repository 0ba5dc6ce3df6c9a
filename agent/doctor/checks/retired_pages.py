"""Memory pages that wait to be retired (GPUs before Ampere)."""

from __future__ import annotations

from agent.doctor.check import conclude, does_not_apply, without_gpus
from agent.doctor.commands import reset_gpu
from agent.doctor.evidence import Evidence
from agent.doctor.health import with_health
from agent.protocol.findings import CheckOutcome, Finding
from agent.protocol.gpus import Gpu, GpuHealth

NAME = "retired_pages"


def check(evidence: Evidence) -> CheckOutcome:
    """A pending page is still in use until the driver starts anew.

    Source: NVIDIA, Dynamic Page Retirement, "Visibility".
    """
    if (ended := without_gpus(NAME, evidence)) is not None:
        return ended
    gpus = list(with_health(evidence, "retired_pages_pending"))
    if not gpus:
        return does_not_apply(NAME, "no GPU here retires memory pages")
    findings = [_pending(gpu, entry) for gpu, entry, _ in gpus if entry.retired_pages_pending]
    unknown = [f"GPU {gpu.index}: {reason}" for gpu, _, reason in gpus if reason is not None]
    return conclude(NAME, findings, unknown)


def _pending(gpu: Gpu, entry: GpuHealth) -> Finding:
    counts = {
        "single_bit": entry.retired_pages_single_bit,
        "double_bit": entry.retired_pages_double_bit,
    }
    return Finding(
        code="gpu.retired_pages_pending",
        severity="warning",
        subject=f"gpu/{gpu.uuid}",
        title=f"GPU {gpu.index}: a bad memory page waits to be retired",
        cause="A memory page failed and is still in use; the driver leaves it out only when it "
        "starts anew.",
        mend="At a time that suits, stop what uses the GPU, then "
        f"{reset_gpu(gpu.uuid)} or `sudo reboot`. "
        f"`nvidia-smi -q -d PAGE_RETIREMENT -i {gpu.uuid}` has the figures.",
        evidence={k: str(v) for k, v in counts.items() if v is not None},
    )
