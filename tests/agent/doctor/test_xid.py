"""The check of XID errors, and their table."""

from __future__ import annotations

import pytest

from agent.doctor.checks import xid
from agent.doctor.xids import CATALOG, XIDS
from agent.protocol.gpus import GpuStack, XidEvent
from tests.agent.doctor.patients import NOW, A, B, Patient, codes


@pytest.fixture
def patient() -> Patient:
    return Patient()


def test_no_xids(patient: Patient) -> None:
    assert xid.check(patient.evidence()).outcome == "ok"


def test_no_gpu_and_a_jetson_report_none(patient: Patient) -> None:
    patient.use_jetson()
    assert xid.check(patient.evidence()).outcome == "does_not_apply"
    patient.use_no_gpu()
    assert xid.check(patient.evidence()).outcome == "does_not_apply"


def test_a_driver_that_does_not_work_reports_none(patient: Patient) -> None:
    patient.forget_gpus()
    patient.stack = GpuStack(state="hung", source="nvml", reason="no answer")
    outcome = xid.check(patient.evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "no answer")


@pytest.mark.parametrize(
    ("code", "severity", "mend"),
    [
        (13, "warning", "compute-sanitizer"),
        (63, "info", "Nothing to do"),
        (94, "warning", "Start the container concerned again"),
        (48, "error", "--gpu-reset"),
        (79, "critical", "sudo reboot"),
        (92, "error", "Check the card's seat"),
        (999, "warning", "Start the container concerned again"),
    ],
)
def test_each_kind(patient: Patient, code: int, severity: str, mend: str) -> None:
    patient.report.xids = [XidEvent(code=code, at=NOW - 60, gpu_uuid=A, text="as logged")]
    outcome = xid.check(patient.evidence())
    assert codes(outcome) == [(f"gpu.xid.{code}", f"gpu/{A}")]
    (finding,) = outcome.findings
    assert finding.severity == severity
    assert mend in finding.mend
    assert finding.evidence["text"] == "as logged"
    assert finding.evidence["source"].startswith(CATALOG)
    assert finding.since == NOW - 60


def test_one_finding_per_gpu_and_code_with_its_count(patient: Patient) -> None:
    patient.report.xids = [
        XidEvent(code=31, at=NOW - 300, gpu_uuid=A),
        XidEvent(code=31, at=NOW - 200, gpu_uuid=B),
        XidEvent(code=31, at=NOW - 100, gpu_uuid=A),
        XidEvent(code=43, at=NOW - 50, gpu_uuid=A),
    ]
    outcome = xid.check(patient.evidence())
    assert codes(outcome) == [
        ("gpu.xid.31", f"gpu/{A}"),
        ("gpu.xid.31", f"gpu/{B}"),
        ("gpu.xid.43", f"gpu/{A}"),
    ]
    assert outcome.findings[0].evidence["count"] == "2"
    assert outcome.findings[0].evidence["last_at"] == f"{NOW - 100:.0f}"
    assert len({finding.key for finding in outcome.findings}) == 3


def test_a_storm_of_faults_is_an_error(patient: Patient) -> None:
    patient.report.xids = [XidEvent(code=13, at=NOW - n, gpu_uuid=A) for n in range(20, 0, -1)]
    (finding,) = xid.check(patient.evidence()).findings
    assert finding.severity == "error"
    assert "20 times" in finding.title
    assert finding.cause.endswith("It keeps happening.")


def test_old_news_is_no_finding(patient: Patient) -> None:
    patient.report.xids = [
        XidEvent(code=13, at=NOW - 3601, gpu_uuid=A),  # a program's fault: an hour
        XidEvent(code=48, at=NOW - 3601, gpu_uuid=A),  # the GPU's: a day
        XidEvent(code=62, at=NOW - 86401, gpu_uuid=A),
    ]
    assert codes(xid.check(patient.evidence())) == [("gpu.xid.48", f"gpu/{A}")]


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("00000000:02:00.0", f"gpu/{B}"),
        ("0000:02:00", f"gpu/{B}"),  # as the kernel's log has it
        ("0001:02:00", "gpu/0001:02:00"),  # another domain
        (None, "gpu/unknown"),
    ],
)
def test_a_gpu_known_by_its_pci_address(
    patient: Patient, address: str | None, subject: str
) -> None:
    patient.report.xids = [XidEvent(code=79, at=NOW, pci_bus_id=address)]
    assert codes(xid.check(patient.evidence())) == [("gpu.xid.79", subject)]


def test_xids_are_told_also_when_the_driver_broke_since(patient: Patient) -> None:
    patient.forget_gpus()
    patient.stack = GpuStack(state="error", source="nvml")
    patient.report.xids = [XidEvent(code=79, at=NOW, pci_bus_id="0000:02:00")]
    assert codes(xid.check(patient.evidence())) == [("gpu.xid.79", "gpu/0000:02:00")]


def test_every_row_has_a_source_of_its_own() -> None:
    assert len(XIDS) > 60
    for code, row in XIDS.items():
        assert row.source.startswith(f"{CATALOG} code {code}: "), code
        assert row.meaning
        assert not row.meaning.endswith(".")
