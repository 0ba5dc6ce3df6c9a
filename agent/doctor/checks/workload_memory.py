"""A workload that uses more GPU memory than its ceiling."""

from __future__ import annotations

from agent.doctor.check import conclude, could_not_tell, does_not_apply
from agent.doctor.evidence import Evidence
from agent.protocol.deployments import WorkloadStatus
from agent.protocol.findings import CheckOutcome, Finding
from agent.rules.quantise import memory

NAME = "workload_memory"
GIBIBYTE = 2**30


def check(evidence: Evidence) -> CheckOutcome:
    """Found where its processes together were over it, on one GPU, for some samples in a row."""
    if evidence.workloads is None:
        return could_not_tell(NAME, "which workloads there are could not be read")
    limited = [each for each in evidence.workloads if each.memory_bytes]
    if not limited:
        return does_not_apply(NAME, "no workload here has a ceiling")
    findings: list[Finding] = []
    unknown: list[str] = []
    for workload in limited:
        if workload.over_ceiling:
            findings.append(_over(evidence, workload))
        elif why := _not_told(evidence, workload):
            unknown.append(f"{workload.name}: what it uses is not told by process: {why}")
    return conclude(NAME, findings, unknown)


def _over(evidence: Evidence, workload: WorkloadStatus) -> Finding:
    ceiling, node = workload.memory_bytes or 0, evidence.facts.name
    uses = [
        f"{used / GIBIBYTE:.1f} GiB of {_named(evidence, uuid)}"
        for uuid, used in sorted(workload.over_ceiling.items())
    ]
    restarts = workload.gpu is not None and workload.gpu.on_exceeded == "restart"
    mend = (
        f"The agent restarts it: {workload.by_itself or 'soon'}."
        if restarts
        else f"`roost workload restart {node} {workload.name}` frees it; x-roost.gpu.on_exceeded: "
        "restart has the agent do that."
    )
    return Finding(
        code="workload.gpu_memory_exceeded",
        severity="warning",
        subject=f"workload/{workload.name}",
        title=f"{workload.name} uses more GPU memory than it may",
        cause=f"It uses {', '.join(uses)}, and its ceiling is {ceiling / GIBIBYTE:.1f} GiB on "
        "each. The driver enforces none, so others on that GPU may run out of memory.",
        mend=f"{mend} If it needs so much, raise x-roost.gpu.memory.",
        evidence={
            "ceiling_bytes": str(ceiling),
            "used_bytes": ", ".join(
                str(memory(used)) for _, used in sorted(workload.over_ceiling.items())
            ),
        },
    )


def _named(evidence: Evidence, uuid: str) -> str:
    gpu = evidence.gpu(uuid)
    return uuid if gpu is None else f"GPU {gpu.index}"


def _not_told(evidence: Evidence, workload: WorkloadStatus) -> str | None:
    for process in evidence.gpus.processes:
        if process.container == workload.container and process.memory_used_bytes is None:
            return process.unknown.get("memory_used_bytes", "no reason given")
    return None
