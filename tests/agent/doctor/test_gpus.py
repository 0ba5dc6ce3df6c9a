"""The checks of what GPUs themselves say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.doctor.checks import (
    gpu_lost,
    gpu_state,
    persistence,
    remapped_rows,
    retired_pages,
    throttling,
)
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome
from agent.protocol.gpus import GpuHealth, GpuProcess, GpuSample, GpuStack, GpuState
from tests.agent.doctor.patients import A, B, Patient, codes, gpu

ALL: list[Callable[[Evidence], CheckOutcome]] = [
    gpu_lost.check,
    gpu_state.check,
    persistence.check,
    remapped_rows.check,
    throttling.check,
]


@pytest.fixture
def patient() -> Patient:
    return Patient()


@pytest.mark.parametrize("check", ALL)
def test_healthy_gpus(patient: Patient, check: Callable[[Evidence], CheckOutcome]) -> None:
    outcome = check(patient.evidence())
    assert outcome.outcome == "ok"
    assert outcome.reason is None


@pytest.mark.parametrize("check", [*ALL, retired_pages.check])
def test_no_gpu(patient: Patient, check: Callable[[Evidence], CheckOutcome]) -> None:
    patient.use_no_gpu()
    assert check(patient.evidence()).outcome == "does_not_apply"


@pytest.mark.parametrize("check", [*ALL, retired_pages.check])
def test_a_driver_that_does_not_work(
    patient: Patient, check: Callable[[Evidence], CheckOutcome]
) -> None:
    patient.forget_gpus()
    patient.stack = GpuStack(state="driver_mismatch", source="nvml", reason="two versions")
    outcome = check(patient.evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "two versions")


@pytest.mark.parametrize("check", [gpu_lost.check, gpu_state.check, throttling.check])
def test_gpus_that_were_not_read_yet(
    patient: Patient, check: Callable[[Evidence], CheckOutcome]
) -> None:
    patient.report.samples = [GpuSample(uuid=A)]
    outcome = check(patient.evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "GPU 1: not read yet")


def test_a_lost_gpu(patient: Patient) -> None:
    patient.report.samples = [
        GpuSample(uuid=A),
        GpuSample(uuid=B, state="lost", reason="GPU is lost"),
    ]
    outcome = gpu_lost.check(patient.evidence())
    assert codes(outcome) == [("gpu.lost", f"gpu/{B}")]
    assert outcome.findings[0].severity == "critical"
    assert outcome.findings[0].evidence == {
        "pci_bus_id": "00000000:02:00.0",
        "reason": "GPU is lost",
    }
    assert gpu_state.check(patient.evidence()).outcome == "ok"  # one fault, one finding


@pytest.mark.parametrize(
    ("state", "code"),
    [("reset_required", "gpu.reset_required"), ("hung", "gpu.hung"), ("error", "gpu.error")],
)
def test_states_that_are_not_ok(patient: Patient, state: GpuState, code: str) -> None:
    patient.report.samples = [
        GpuSample(uuid=A, state=state, reason="told why"),
        GpuSample(uuid=B),
    ]
    patient.report.processes = [GpuProcess(gpu_uuid=A, pid=42), GpuProcess(gpu_uuid=B, pid=43)]
    outcome = gpu_state.check(patient.evidence())
    assert codes(outcome) == [(code, f"gpu/{A}")]
    assert outcome.findings[0].evidence == {"reason": "told why", "users": "processes 42"}
    assert gpu_lost.check(patient.evidence()).outcome == "ok"


def test_a_driver_that_hangs(patient: Patient) -> None:
    patient.stack = GpuStack(state="hung", source="nvml", reason="no answer for 10 s")
    outcome = gpu_state.check(patient.evidence())
    assert codes(outcome) == [("gpu.driver_hung", "node")]
    assert outcome.findings[0].evidence == {"reason": "no answer for 10 s"}


def test_a_driver_that_went_while_the_agent_ran_is_one_finding(patient: Patient) -> None:
    patient.stack = GpuStack(state="driver_mismatch", source="nvml", reason="two versions")
    patient.report.samples = [GpuSample(uuid=A, state="error"), GpuSample(uuid=B, state="error")]
    outcome = gpu_state.check(patient.evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "two versions")


def test_persistence_off_and_unknown(patient: Patient) -> None:
    patient.gpus = [
        gpu(A, 0, persistence=False),
        gpu(B, 1, persistence=None, unknown={"persistence": "no_permission"}),
    ]
    outcome = persistence.check(patient.evidence())
    assert codes(outcome) == [("gpu.persistence_off", f"gpu/{A}")]
    assert outcome.reason == "GPU 1: no_permission"
    assert "nvidia-persistenced" in outcome.findings[0].mend
    patient.gpus = patient.gpus[1:]
    assert persistence.check(patient.evidence()).outcome == "could_not_tell"


def test_a_jetson_has_no_persistence_mode(patient: Patient) -> None:
    patient.use_jetson()
    assert persistence.check(patient.evidence()).outcome == "does_not_apply"


def health(uuid: str, **figures: bool | int | None) -> GpuHealth:
    unknown = {
        name: "not_supported"
        for name in ("remap_pending", "remap_failed", "retired_pages_pending")
        if name not in figures
    }
    return GpuHealth(uuid=uuid, unknown=unknown, **figures)  # type: ignore[arg-type] # of one type each


def test_rows_that_wait_and_rows_that_failed(patient: Patient) -> None:
    patient.report.health = [
        health(A, remap_pending=True, remap_failed=False, remapped_uncorrectable=1),
        health(B, remap_pending=True, remap_failed=True, remapped_uncorrectable=9),
    ]
    outcome = remapped_rows.check(patient.evidence())
    assert codes(outcome) == [("gpu.remap_pending", f"gpu/{A}"), ("gpu.remap_failed", f"gpu/{B}")]
    assert [finding.severity for finding in outcome.findings] == ["warning", "critical"]
    assert outcome.findings[1].evidence == {"remapped_uncorrectable": "9"}


def test_rows_of_gpus_that_do_not_remap(patient: Patient) -> None:
    patient.report.health = [health(A), health(B)]
    assert remapped_rows.check(patient.evidence()).outcome == "does_not_apply"
    patient.report.health = [health(A)]  # the other was not read yet
    outcome = remapped_rows.check(patient.evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "GPU 1: not read yet")


def test_rows_that_cannot_be_asked(patient: Patient) -> None:
    patient.report.health = [
        GpuHealth(uuid=A, unknown={"remap_pending": "mig", "remap_failed": "mig"}),
        health(B, remap_pending=False, remap_failed=False),
    ]
    outcome = remapped_rows.check(patient.evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "GPU 0: mig")


def test_retired_pages(patient: Patient) -> None:
    assert retired_pages.check(patient.evidence()).outcome == "does_not_apply"  # an A10 has rows
    patient.report.health = [
        health(A, retired_pages_pending=False),
        health(B, retired_pages_pending=False),
    ]
    assert retired_pages.check(patient.evidence()).outcome == "ok"
    patient.report.health = [
        health(A, retired_pages_pending=True, retired_pages_double_bit=2),
        health(B, retired_pages_pending=False),
    ]
    outcome = retired_pages.check(patient.evidence())
    assert codes(outcome) == [("gpu.retired_pages_pending", f"gpu/{A}")]
    assert outcome.findings[0].evidence == {"double_bit": "2"}


def test_retired_pages_that_cannot_be_asked(patient: Patient) -> None:
    patient.report.health = [GpuHealth(uuid=A, unknown={"retired_pages_pending": "gpu_lost"})]
    outcome = retired_pages.check(patient.evidence())
    assert outcome.outcome == "could_not_tell"
    assert outcome.reason == "GPU 0: gpu_lost; GPU 1: not read yet"
