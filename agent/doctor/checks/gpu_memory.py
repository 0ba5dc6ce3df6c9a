"""A GPU whose memory is nearly full."""

from __future__ import annotations

from agent.doctor.check import conclude, does_not_apply, without_gpus
from agent.doctor.evidence import Evidence
from agent.doctor.memory import used_percent
from agent.protocol.findings import CheckOutcome, Finding
from agent.protocol.gpus import Gpu, GpuProcess, GpuSample
from agent.rules.quantise import memory, stepped

NAME = "gpu_memory"
# A finding that stands is quiet on the wire.
STEP_PERCENT = 5


def check(evidence: Evidence) -> CheckOutcome:
    """Found where it was over the line for some samples in a row."""
    look = evidence.memory
    if look.percent is None:
        return does_not_apply(NAME, "alerts.gpu_memory_percent is null in agent.yaml")
    if (ended := without_gpus(NAME, evidence)) is not None:
        return ended
    samples = {sample.uuid: sample for sample in evidence.gpus.samples}
    findings: list[Finding] = []
    unknown: list[str] = []
    for gpu in evidence.gpus.gpus:
        sample = samples.get(gpu.uuid)
        used = None if sample is None else used_percent(sample)
        if sample is None or used is None:
            reason = "not read yet" if sample is None else sample.unknown.get("memory_used_bytes")
            unknown.append(f"GPU {gpu.index}: {reason or 'its memory is not told'}")
        elif gpu.uuid in look.high:
            findings.append(_high(evidence, gpu, sample, used, look.percent))
    return conclude(NAME, findings, unknown)


def _high(evidence: Evidence, gpu: Gpu, sample: GpuSample, used: float, percent: float) -> Finding:
    shared = " It shares the machine's memory." if gpu.unified_memory else ""
    return Finding(
        code="gpu.memory_high",
        severity="warning",
        subject=f"gpu/{gpu.uuid}",
        title=f"GPU {gpu.index} has little memory left",
        cause=f"{percent:g} % of its memory and more are in use: what asks for more is refused, "
        f"and most programs end then.{shared}",
        mend="Move a workload to another GPU with `roost container pin`, or give each a ceiling "
        "with x-roost.gpu.memory.",
        evidence={
            "used_percent": str(stepped(used, STEP_PERCENT)),
            "total_bytes": str(memory(sample.memory_total_bytes)),
            "users": _users(evidence, gpu),
        },
    )


def _users(evidence: Evidence, gpu: Gpu) -> str:
    """Who is on it, those that use the most first."""
    names = {container.id: container.name for container in evidence.containers}
    used: dict[str, int] = {}
    for process in evidence.gpus.processes:
        if process.gpu_uuid == gpu.uuid:
            who = _who(process, names)
            used[who] = used.get(who, 0) + (process.memory_used_bytes or 0)
    return ", ".join(sorted(used, key=lambda who: (-used[who], who))) or "not known"


def _who(process: GpuProcess, names: dict[str, str]) -> str:
    if process.container is None:
        return f"process {process.pid}"
    return names.get(process.container, process.container[:12])
