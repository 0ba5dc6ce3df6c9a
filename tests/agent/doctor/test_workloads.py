"""The checks of workloads: drift, ceilings, and what the agent does by itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.doctor.checks import container_gpu, workload_drift, workload_memory, workload_proxy
from agent.doctor.inside import InsideLook
from agent.protocol.deployments import WorkloadStatus
from agent.protocol.gpus import GpuProcess
from agent.protocol.workloads import GpuRequest
from tests.agent.doctor.patients import DETECTOR, GIBIBYTE, A, B, Patient, codes, container


def workload(**changes: Any) -> WorkloadStatus:
    """A workload that is as it shall be."""
    made = WorkloadStatus(
        name="detector",
        release="r1",
        container=DETECTOR,
        state="running",
        gpus=[A],
        gpu=GpuRequest(select="0"),
        deployment="d1",
        deployment_state="done",
    )
    return msgspec.structs.replace(made, **changes)


def patient_with(*workloads: WorkloadStatus) -> Patient:
    patient = Patient()
    patient.more["workloads"] = workloads
    return patient


@pytest.mark.parametrize("check", [workload_drift.check, workload_memory.check])
def test_workloads_that_are_well_or_not_there(check: Any) -> None:
    limited = workload(memory_bytes=GIBIBYTE)
    assert check(patient_with(limited).evidence()).outcome == "ok"
    assert check(Patient().evidence()).outcome == "does_not_apply"
    unread = Patient()
    unread.more["workloads"] = None
    assert check(unread.evidence()).outcome == "could_not_tell"


def test_drift_says_what_differs() -> None:
    drift = ["restart policy: no instead of always", "environment: DEBUG was added"]
    outcome = workload_drift.check(patient_with(workload(drift=drift)).evidence())
    assert codes(outcome) == [("workload.drift", "workload/detector")]
    (finding,) = outcome.findings
    assert finding.severity == "warning"
    for each in drift:
        assert each in finding.cause


@pytest.mark.parametrize(
    ("state", "mend"), [("exited", "workload restart"), ("missing", "must go first")]
)
def test_one_that_does_not_run_is_an_error(state: str, mend: str) -> None:
    status = workload(state=state, drift=["it does not run: it ended with exit code 137"])
    (finding,) = workload_drift.check(patient_with(status).evidence()).findings
    assert (finding.severity, finding.title) == ("error", "detector does not run")
    assert mend in finding.mend


def test_drift_that_could_not_be_told() -> None:
    outcome = workload_drift.check(patient_with(workload(drift_unknown="no answer")).evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "no answer")


def test_what_is_stuck_needs_a_person() -> None:
    outcome = workload_drift.check(patient_with(workload(deployment_state="stuck")).evidence())
    assert codes(outcome) == [("workload.stuck", "workload/detector")]
    assert "--keep-old" in outcome.findings[0].mend


def test_over_its_ceiling() -> None:
    status = workload(memory_bytes=4 * GIBIBYTE, over_ceiling={B: 6 * GIBIBYTE})
    outcome = workload_memory.check(patient_with(status).evidence())
    assert codes(outcome) == [("workload.gpu_memory_exceeded", "workload/detector")]
    (finding,) = outcome.findings
    assert "6.0 GiB of GPU 1" in finding.cause
    assert "its ceiling is 4.0 GiB" in finding.cause
    assert "on_exceeded: restart has" in finding.mend


def test_over_its_ceiling_and_restarted_by_itself() -> None:
    status = workload(
        memory_bytes=4 * GIBIBYTE,
        over_ceiling={B: 6 * GIBIBYTE},
        gpu=GpuRequest(select="0", on_exceeded="restart"),
        by_itself="it is restarted by the job j1",
    )
    (finding,) = workload_memory.check(patient_with(status).evidence()).findings
    assert finding.mend.startswith("The agent restarts it: it is restarted by the job j1.")


def test_memory_that_is_not_told_by_process() -> None:
    patient = patient_with(workload(memory_bytes=GIBIBYTE))
    patient.report.processes = [
        GpuProcess(
            gpu_uuid=A, pid=7, container=DETECTOR, unknown={"memory_used_bytes": "not_supported"}
        )
    ]
    outcome = workload_memory.check(patient.evidence())
    assert outcome.outcome == "could_not_tell"
    assert outcome.reason is not None
    assert outcome.reason.endswith("not_supported")


@pytest.mark.parametrize(
    ("gpu", "by_itself", "said"),
    [
        (GpuRequest(select="0"), None, "x-roost.gpu.on_lost: recreate has the agent"),
        (
            GpuRequest(select="0", on_lost="recreate"),
            None,
            "The agent re-creates it: at its next look.",
        ),
        (
            GpuRequest(select="0", on_lost="recreate"),
            "it is re-created by the job j1",
            "The agent re-creates it: it is re-created by the job j1. By hand: ",
        ),
    ],
)
def test_a_lost_gpu_says_what_the_agent_does(
    gpu: GpuRequest, by_itself: str | None, said: str
) -> None:
    patient = patient_with(workload(gpu=gpu, by_itself=by_itself))
    patient.runs(
        container(gpus=[A], gpu_way="device_request"), inside=InsideLook(way="exec", sees=False)
    )
    (finding,) = container_gpu.check(patient.evidence()).findings
    assert said in finding.mend
    assert "docker restart detector" in finding.mend
    assert finding.evidence["workload"] == "detector"


def test_a_lost_gpu_of_no_workload_is_as_before() -> None:
    patient = patient_with(workload(container="e" * 64))
    patient.runs(
        container(gpus=[A], gpu_way="device_request"), inside=InsideLook(way="exec", sees=False)
    )
    (finding,) = container_gpu.check(patient.evidence()).findings
    assert "on_lost" not in finding.mend


def test_a_proxy_that_is_not_as_written_is_found() -> None:
    fine = workload(proxy="container roost-traffic-detector")
    assert workload_proxy.check(patient_with(fine).evidence()).outcome == "ok"
    bare = workload_proxy.check(patient_with(workload()).evidence())
    assert bare.outcome == "does_not_apply"
    wrong = workload(proxy="container roost-traffic-detector", proxy_wrong=["it does not answer"])
    (finding,) = workload_proxy.check(patient_with(wrong).evidence()).findings
    assert (finding.code, finding.subject) == ("workload.proxy", "workload/detector")
    assert "it does not answer" in finding.cause
