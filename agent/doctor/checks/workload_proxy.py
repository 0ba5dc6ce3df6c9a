"""A proxy in front of a workload that is not as it is written."""

from __future__ import annotations

from agent.doctor.check import conclude, could_not_tell, does_not_apply
from agent.doctor.evidence import Evidence
from agent.protocol.deployments import WorkloadStatus
from agent.protocol.findings import CheckOutcome, Finding

NAME = "workload_proxy"


def check(evidence: Evidence) -> CheckOutcome:
    """Tells what differs, of each workload that has a proxy."""
    if evidence.workloads is None:
        return could_not_tell(NAME, "which workloads there are could not be read")
    there = [each for each in evidence.workloads if each.proxy is not None]
    if not there:
        return does_not_apply(NAME, "no workload here has a proxy")
    node = evidence.facts.name
    return conclude(NAME, [_finding(each, node) for each in there if each.proxy_wrong])


def _finding(workload: WorkloadStatus, node: str) -> Finding:
    return Finding(
        code="workload.proxy",
        severity="error",
        subject=f"workload/{workload.name}",
        title=f"the proxy of {workload.name} is not as it is written",
        cause=f"Somebody changed it, or it does not run: {'; '.join(workload.proxy_wrong)}.",
        mend="The agent keeps telling it what is written, and has it started again. If this stays, "
        f"look at the {workload.proxy} on {node}; the next deployment of {workload.name} writes "
        "its configuration anew.",
        evidence={"proxy": workload.proxy or "none"},
    )
