"""Memory rows that wait to be replaced by spare ones, or could not be (Ampere on, with ECC)."""

from __future__ import annotations

from agent.doctor.check import conclude, does_not_apply, without_gpus
from agent.doctor.commands import reset_gpu
from agent.doctor.evidence import Evidence
from agent.doctor.health import with_health
from agent.protocol.findings import CheckOutcome, Finding
from agent.protocol.gpus import Gpu, GpuHealth

NAME = "remapped_rows"


def check(evidence: Evidence) -> CheckOutcome:
    """Pending: a reset replaces the row. Failed: no spare row is left, replace the GPU.

    Source: NVIDIA, GPU Memory Error Management, "Error Recovery and Response Flags".
    """
    if (ended := without_gpus(NAME, evidence)) is not None:
        return ended
    gpus = list(with_health(evidence, "remap_pending", "remap_failed"))
    if not gpus:
        return does_not_apply(NAME, "no GPU here remaps memory rows")
    findings: list[Finding] = []
    for gpu, entry, _ in gpus:
        if entry.remap_failed:
            findings.append(_failed(gpu, entry))
        elif entry.remap_pending:
            findings.append(_pending(gpu, entry))
    unknown = [f"GPU {gpu.index}: {reason}" for gpu, _, reason in gpus if reason is not None]
    return conclude(NAME, findings, unknown)


def _counts(entry: GpuHealth) -> dict[str, str]:
    counts = {
        "remapped_correctable": entry.remapped_correctable,
        "remapped_uncorrectable": entry.remapped_uncorrectable,
    }
    return {name: str(count) for name, count in counts.items() if count is not None}


def _failed(gpu: Gpu, entry: GpuHealth) -> Finding:
    return Finding(
        code="gpu.remap_failed",
        severity="critical",
        subject=f"gpu/{gpu.uuid}",
        title=f"GPU {gpu.index}: a bad memory row could not be replaced",
        cause="The GPU's memory has a fault for which no spare row was left.",
        mend="Have the GPU replaced. Until then move its work away: results may be lost at any "
        f"time. `nvidia-smi -q -d ROW_REMAPPER -i {gpu.uuid}` has the figures for the vendor.",
        evidence=_counts(entry),
    )


def _pending(gpu: Gpu, entry: GpuHealth) -> Finding:
    return Finding(
        code="gpu.remap_pending",
        severity="warning",
        subject=f"gpu/{gpu.uuid}",
        title=f"GPU {gpu.index}: a bad memory row waits for a reset to be replaced",
        cause="A memory row failed. Running work goes on unharmed; a reset puts a spare row in "
        "its place.",
        mend="At a time that suits, stop what uses the GPU, then "
        f"{reset_gpu(gpu.uuid)} or `sudo reboot`.",
        evidence=_counts(entry),
    )
