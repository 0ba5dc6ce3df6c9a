"""A GPU that must be reset, hangs, or answers with errors."""

from __future__ import annotations

from agent.doctor.check import conclude, could_not_tell, without_gpus
from agent.doctor.commands import reset_gpu
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding
from agent.protocol.gpus import Gpu, GpuSample

NAME = "gpu_state"


def check(evidence: Evidence) -> CheckOutcome:
    """A lost GPU is another check's business."""
    report = evidence.gpus
    if report.stack.state == "hung":
        return conclude(NAME, [_driver_hung(report.stack.reason)])
    if (ended := without_gpus(NAME, evidence)) is not None:
        return ended
    if report.stack.state not in ("ok", "simulated"):
        # One fault, one finding: the driver's own checks tell it, not each of its GPUs.
        return could_not_tell(NAME, report.stack.reason or report.stack.state)
    states = {sample.uuid: sample for sample in report.samples}
    unknown = [f"GPU {gpu.index}: not read yet" for gpu in report.gpus if gpu.uuid not in states]
    looks = {"reset_required": _reset_required, "hung": _hung, "error": _error}
    findings: list[Finding] = []
    for gpu in report.gpus:
        sample = states.get(gpu.uuid)
        look = looks.get(sample.state) if sample is not None else None
        if sample is not None and look is not None:
            finding = look(gpu)
            finding.evidence["reason"] = sample.reason or "none given"
            finding.evidence["users"] = _users(evidence, sample)
            findings.append(finding)
    return conclude(NAME, findings, unknown)


def _users(evidence: Evidence, sample: GpuSample) -> str:
    """Who must stop before a reset."""
    pids = [str(p.pid) for p in evidence.gpus.processes if p.gpu_uuid == sample.uuid]
    return f"processes {', '.join(pids)}" if pids else "no processes known"


def _driver_hung(reason: str | None) -> Finding:
    return Finding(
        code="gpu.driver_hung",
        severity="critical",
        subject="node",
        title="The NVIDIA driver does not answer",
        cause="A call into the driver does not come back. Whatever else asks it hangs as well.",
        mend="`sudo dmesg | grep -iE 'nvrm|xid'` says what happened first; then `sudo reboot`. "
        "If that hangs too, cut the power.",
        evidence={"reason": reason or "none given"},
    )


def _reset_required(gpu: Gpu) -> Finding:
    return Finding(
        code="gpu.reset_required",
        severity="error",
        subject=f"gpu/{gpu.uuid}",
        title=f"GPU {gpu.index} must be reset",
        cause="The driver refuses new work on the GPU until it is reset, most often after an "
        "uncorrectable memory error.",
        mend="Stop every container and process that uses it, then "
        f"{reset_gpu(gpu.uuid)}; where that is refused, `sudo reboot`.",
    )


def _hung(gpu: Gpu) -> Finding:
    return Finding(
        code="gpu.hung",
        severity="critical",
        subject=f"gpu/{gpu.uuid}",
        title=f"GPU {gpu.index} does not answer",
        cause="The driver's calls for this GPU do not come back.",
        mend=f"Stop what uses it if that still works and {reset_gpu(gpu.uuid)}; "
        "else `sudo reboot`. `sudo dmesg | grep -iE 'nvrm|xid'` says why.",
    )


def _error(gpu: Gpu) -> Finding:
    return Finding(
        code="gpu.error",
        severity="error",
        subject=f"gpu/{gpu.uuid}",
        title=f"GPU {gpu.index} answers with an error",
        cause="The driver answers questions about this GPU with an error that is not normal.",
        mend=f"`nvidia-smi -q -i {gpu.uuid}` and `sudo dmesg | grep -iE 'nvrm|xid'` say more.",
    )
