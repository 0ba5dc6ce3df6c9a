"""A workload that is not as it was deployed."""

from __future__ import annotations

from agent.doctor.check import conclude, could_not_tell, does_not_apply
from agent.doctor.evidence import Evidence
from agent.protocol.deployments import NETWORK_GONE, WorkloadStatus
from agent.protocol.findings import CheckOutcome, Finding

NAME = "workload_drift"


def check(evidence: Evidence) -> CheckOutcome:
    """Tells what differs; a deployment under way is no difference, one that is stuck is."""
    if evidence.workloads is None:
        return could_not_tell(NAME, "which workloads there are could not be read")
    if not evidence.workloads:
        return does_not_apply(NAME, "Roost placed no workload here")
    findings: list[Finding] = []
    unknown: list[str] = []
    node = evidence.facts.name
    for workload in evidence.workloads:
        if workload.deployment_state == "stuck":
            findings.append(_stuck(workload, node))
        elif workload.drift_unknown is not None:
            unknown.append(workload.drift_unknown)
        elif workload.drift:
            findings.append(_drift(workload, node))
    return conclude(NAME, findings, unknown)


def _drift(workload: WorkloadStatus, node: str) -> Finding:
    name = workload.name
    runs = workload.state == "running"
    mend = "Apply its file again: then it is as it was deployed."
    if workload.state == "missing":
        mend += f" A container of somebody else's that is named {name} must go first."
    elif any(each.startswith(NETWORK_GONE) for each in workload.drift):
        mend = f"The agent restarts it: {workload.by_itself or 'at its next look'}. By hand:"
        mend += f" `roost workload restart {node} {name}`."
    elif not runs:
        mend = f"`roost workload restart {node} {name}` starts it. {mend}"
    return Finding(
        code="workload.drift",
        severity="warning" if runs else "error",
        subject=f"workload/{name}",
        title=f"{name} is not as it was deployed" if runs else f"{name} does not run",
        cause=f"Somebody, or the node, changed it: {'; '.join(workload.drift)}.",
        mend=mend,
        evidence={
            "release": workload.release,
            "deployment": workload.deployment or "none",
            "container": (workload.container or "none")[:12],
        },
    )


def _stuck(workload: WorkloadStatus, node: str) -> Finding:
    return Finding(
        code="workload.stuck",
        severity="error",
        subject=f"workload/{workload.name}",
        title=f"{workload.name} is stuck between two releases",
        cause=f"Deployment {workload.deployment} of {workload.release} failed, and what ran before "
        "could not be brought back.",
        mend=f"`roost workload show {node} {workload.name}` says why. Then `roost workload resolve "
        f"{node} {workload.name}` with --keep-old, --keep-new or --retry.",
        evidence={"deployment": workload.deployment or "none"},
    )
