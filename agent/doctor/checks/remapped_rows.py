"""Memory rows that wait to be replaced by spare ones, or could not be."""

from __future__ import annotations

from agent.doctor.check import conclude, does_not_apply, without_gpus
from agent.doctor.commands import reset_gpu
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding
from agent.protocol.gpus import Gpu, GpuHealth

NAME = "remapped_rows"

# Row remapping came with Ampere, and only boards with ECC have it.
DO_NOT_HAVE_IT = ("not_supported", "function_missing")


def check(evidence: Evidence) -> CheckOutcome:
    """Pending: a reset replaces the row. Failed: no spare row is left, replace the GPU.

    Source: NVIDIA, GPU Memory Error Management, "Error Recovery and Response Flags".
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
        reason = _unknown(entry)
        if reason in DO_NOT_HAVE_IT:
            continue
        told = True
        if entry is None or reason is not None:
            unknown.append(f"GPU {gpu.index}: {reason}")
        if entry is not None and entry.remap_failed:
            findings.append(_failed(gpu, entry))
        elif entry is not None and entry.remap_pending:
            findings.append(_pending(gpu, entry))
    if not told:
        return does_not_apply(NAME, "no GPU here remaps memory rows")
    return conclude(NAME, findings, unknown)


def _unknown(entry: GpuHealth | None) -> str | None:
    if entry is None:
        return "not read yet"
    for field in ("remap_pending", "remap_failed"):
        if getattr(entry, field) is None:
            return entry.unknown.get(field, "not read")
    return None


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
