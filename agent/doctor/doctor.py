"""Runs all checks over one evidence."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from agent.doctor.check import Check, could_not_tell
from agent.doctor.checks import (
    agent_upgrade,
    cdi_spec,
    clock,
    container_gpu,
    disk,
    driver,
    driver_mismatch,
    gpu_lost,
    gpu_memory,
    gpu_state,
    hook_path,
    jetson_runtime,
    persistence,
    podman_requests,
    remapped_rows,
    retired_pages,
    runtime,
    socket_permission,
    stale_engines,
    throttling,
    toolkit,
    workload_drift,
    workload_memory,
    workload_proxy,
    xid,
)
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, DoctorReport

log = logging.getLogger(__name__)

# From the ground up: a fault further up is often explained by one before it.
CHECKS: tuple[Check, ...] = (
    Check(driver.NAME, driver.check),
    Check(driver_mismatch.NAME, driver_mismatch.check),
    Check(gpu_lost.NAME, gpu_lost.check),
    Check(gpu_state.NAME, gpu_state.check),
    Check(xid.NAME, xid.check),
    Check(remapped_rows.NAME, remapped_rows.check),
    Check(retired_pages.NAME, retired_pages.check),
    Check(throttling.NAME, throttling.check),
    Check(gpu_memory.NAME, gpu_memory.check),
    Check(persistence.NAME, persistence.check),
    Check(runtime.NAME, runtime.check),
    Check(socket_permission.NAME, socket_permission.check),
    Check(toolkit.NAME, toolkit.check),
    Check(hook_path.NAME, hook_path.check),
    Check(cdi_spec.NAME, cdi_spec.check),
    Check(podman_requests.NAME, podman_requests.check),
    Check(jetson_runtime.NAME, jetson_runtime.check),
    Check(container_gpu.NAME, container_gpu.check),
    Check(workload_drift.NAME, workload_drift.check),
    Check(workload_memory.NAME, workload_memory.check),
    Check(workload_proxy.NAME, workload_proxy.check),
    Check(stale_engines.NAME, stale_engines.check),
    Check(disk.NAME, disk.check),
    Check(clock.NAME, clock.check),
    Check(agent_upgrade.NAME, agent_upgrade.check),
)


class Doctor:
    """Examines one node again and again, and remembers since when a finding stands."""

    def __init__(self, checks: Sequence[Check] = CHECKS) -> None:
        self._checks = tuple(checks)
        self._since: dict[str, float] = {}

    def examine(self, evidence: Evidence) -> DoctorReport:
        """Run every check. One that raises could not tell, and the others still run."""
        report = DoctorReport(
            node=evidence.facts.name,
            at=evidence.at,
            checks=[_run(check, evidence) for check in self._checks],
        )
        since: dict[str, float] = {}
        for finding in report.findings:
            first = self._since.get(finding.key, finding.since)
            finding.since = since[finding.key] = evidence.at if first is None else first
        self._since = since
        return report


def _run(check: Check, evidence: Evidence) -> CheckOutcome:
    try:
        return check.look(evidence)
    except Exception as error:
        log.exception("the check %s failed", check.name)
        return could_not_tell(check.name, f"the check failed: {type(error).__name__}: {error}")
