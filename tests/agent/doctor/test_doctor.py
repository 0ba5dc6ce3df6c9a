"""All checks together."""

from __future__ import annotations

import logging

import msgspec
import pytest

from agent.doctor.check import Check, conclude
from agent.doctor.doctor import CHECKS, Doctor
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, DoctorReport, Finding
from tests.agent.doctor.patients import NOW, Patient


def ill(evidence: Evidence) -> CheckOutcome:
    finding = Finding(
        code="test.ill", severity="warning", subject="node", title="t", cause="c", mend="m"
    )
    return conclude("ill", [finding] if evidence.facts.host.hostname == "ill" else [])


def broken(_evidence: Evidence) -> CheckOutcome:
    raise KeyError("no such thing")


def later(evidence: Evidence, seconds: float) -> Evidence:
    return msgspec.structs.replace(evidence, at=NOW + seconds)


def test_a_healthy_node_has_no_findings() -> None:
    report = Doctor().examine(Patient().evidence())
    assert report.node == "plant-7-a"
    assert report.at == NOW
    assert report.findings == []
    told = {check.check: check.outcome for check in report.checks}
    assert [name for name, outcome in told.items() if outcome == "could_not_tell"] == ["clock"]
    assert len(told) == len(CHECKS)


def test_names_are_unique_and_told_as_they_are_listed() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    report = Doctor().examine(Patient().evidence())
    assert [outcome.check for outcome in report.checks] == names


def test_a_check_that_raises_could_not_tell(caplog: pytest.LogCaptureFixture) -> None:
    doctor = Doctor([Check("broken", broken), Check("ill", ill)])
    with caplog.at_level(logging.ERROR):
        report = doctor.examine(Patient().evidence())
    assert [check.outcome for check in report.checks] == ["could_not_tell", "ok"]
    assert report.checks[0].reason == "the check failed: KeyError: 'no such thing'"
    assert "the check broken failed" in caplog.text


def test_since_is_kept_until_the_finding_is_gone() -> None:
    doctor = Doctor([Check("ill", ill)])
    patient = Patient()
    patient.host.hostname = "ill"
    evidence = patient.evidence()
    assert [f.since for f in doctor.examine(evidence).findings] == [NOW]
    assert [f.since for f in doctor.examine(later(evidence, 30)).findings] == [NOW]
    patient.host.hostname = "well"
    assert doctor.examine(later(patient.evidence(), 60)).findings == []
    patient.host.hostname = "ill"
    again = later(patient.evidence(), 90)
    assert [f.since for f in doctor.examine(again).findings] == [NOW + 90]


def test_the_report_goes_over_the_wire() -> None:
    patient = Patient()
    patient.gpus[0].persistence = False
    report = Doctor().examine(patient.evidence())
    again = msgspec.json.decode(msgspec.json.encode(report), type=DoctorReport)
    assert [finding.code for finding in again.findings] == ["gpu.persistence_off"]
