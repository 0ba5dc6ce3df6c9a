"""The check of throttling, and the minute that it looks at."""

from __future__ import annotations

import pytest

from agent.doctor.checks import throttling
from agent.doctor.throttling import ThrottleMoment, ThrottleWindow
from agent.protocol.gpus import GpuSample
from tests.agent.doctor.patients import NOW, A, B, Patient, codes, gpu


@pytest.fixture
def patient() -> Patient:
    return Patient()


def watched(patient: Patient, seconds: int, reasons: list[str], *, every: int = 1) -> None:
    """GPU A had `reasons` in each `every`th of so many one-second samples, B never."""
    patient.report.samples = [
        GpuSample(uuid=A, throttle=reasons, temperature_celsius=91.0, power_watts=148.7),
        GpuSample(uuid=B),
    ]
    window = ThrottleWindow()
    for second in range(seconds + 1):
        slowed = reasons if second % every == 0 else []
        window.add(NOW + second, [GpuSample(uuid=A, throttle=slowed), GpuSample(uuid=B)])
    patient.more["throttling"] = window.moments()


@pytest.mark.parametrize(
    ("reasons", "code", "severity"),
    [
        (["sw_thermal"], "gpu.throttled_thermal", "warning"),
        (["hw_slowdown", "hw_thermal"], "gpu.throttled_thermal", "warning"),
        (["hw_slowdown", "hw_power_brake"], "gpu.throttled_power_brake", "error"),
        (["hw_slowdown"], "gpu.throttled_hardware", "warning"),
        (["sw_power_cap"], "gpu.throttled_power", "info"),
    ],
)
def test_lasting_throttling(patient: Patient, reasons: list[str], code: str, severity: str) -> None:
    patient.gpus[0] = gpu(A, 0, power_limit_watts=150.0)
    watched(patient, 60, reasons)
    outcome = throttling.check(patient.evidence())
    assert codes(outcome) == [(code, f"gpu/{A}")]
    assert outcome.findings[0].severity == severity
    assert outcome.findings[0].evidence == {
        "throttled_seconds": "60 of the last 60",
        "temperature_celsius": "91",
        "power_watts": "150",
        "power_limit_watts": "150",
    }


def test_a_passing_moment_is_no_finding(patient: Patient) -> None:
    watched(patient, 60, ["sw_thermal"], every=2)
    assert throttling.check(patient.evidence()).outcome == "ok"


def test_idle_is_not_throttling(patient: Patient) -> None:
    watched(patient, 60, ["idle"])
    assert throttling.check(patient.evidence()).outcome == "ok"


@pytest.mark.parametrize("seconds", [0, 10])
def test_too_few_samples_cannot_tell_for_how_long(patient: Patient, seconds: int) -> None:
    watched(patient, seconds, ["sw_thermal"])
    outcome = throttling.check(patient.evidence())
    assert outcome.outcome == "could_not_tell"
    assert f"with {seconds} s of samples" in (outcome.reason or "")


def test_too_few_samples_without_throttling_are_fine(patient: Patient) -> None:
    watched(patient, 5, [])
    assert throttling.check(patient.evidence()).outcome == "ok"


def test_a_gpu_that_does_not_tell(patient: Patient) -> None:
    patient.report.samples = [
        GpuSample(uuid=A, unknown={"throttle": "not_supported"}),
        GpuSample(uuid=B),
    ]
    outcome = throttling.check(patient.evidence())
    assert (outcome.outcome, outcome.reason) == ("could_not_tell", "GPU 0: not_supported")


def test_the_window_is_a_minute_and_starts_anew_when_the_clock_is_set_back() -> None:
    window = ThrottleWindow()
    for second in range(200):
        window.add(float(second), [GpuSample(uuid=A)])
    assert [window.moments()[0].at, window.moments()[-1].at] == [139.0, 199.0]
    window.add(10.0, [GpuSample(uuid=A, throttle=["sw_thermal"])])
    assert window.moments() == (ThrottleMoment(10.0, {A: ("sw_thermal",)}),)
