"""A GPU whose memory is nearly full, told once it lasts and until it is over."""

from __future__ import annotations

import pytest

from agent.doctor.checks import gpu_memory
from agent.doctor.memory import SAMPLES, MemoryLook, MemoryWatch
from agent.protocol.gpus import GpuProcess, GpuSample
from tests.agent.doctor.patients import DETECTOR, A, B, Patient, codes, container


def sample(uuid: str, used: int | None, total: int | None = 100) -> GpuSample:
    return GpuSample(uuid=uuid, memory_used_bytes=used, memory_total_bytes=total)


def told(watch: MemoryWatch, *used: int | None) -> list[bool]:
    """Whether A is told after each of these percents."""
    found = []
    for each in used:
        watch.add([sample(A, each)])
        found.append(A in watch.look().high)
    return found


def test_it_lasts_before_it_is_told() -> None:
    watch = MemoryWatch(80.0)
    assert told(watch, *[80] * SAMPLES) == [False] * (SAMPLES - 1) + [True]


def test_a_peak_is_none() -> None:
    watch = MemoryWatch(80.0)
    assert not any(told(watch, *([95] * (SAMPLES - 1) + [79]) * 3))


@pytest.mark.parametrize(
    ("used", "stays"),
    [
        ([79, 80] * 10, True),  # at the line, to and fro
        ([75] * 20, True),  # within the margin
        ([74] * SAMPLES, False),
        ([74] * (SAMPLES - 1) + [76] + [74] * (SAMPLES - 1), True),
        ([None] * 20, True),
    ],
)
def test_it_stays_until_it_is_well_below(used: list[int | None], *, stays: bool) -> None:
    watch = MemoryWatch(80.0)
    told(watch, *[90] * SAMPLES)
    assert told(watch, *used)[-1] is stays


def test_a_gpu_that_is_gone_is_forgotten() -> None:
    watch = MemoryWatch(80.0)
    told(watch, *[90] * SAMPLES)
    watch.add([sample(B, 10)])
    assert watch.look().high == frozenset()


def test_nobody_wants_to_know() -> None:
    watch = MemoryWatch(None)
    assert not any(told(watch, *[100] * 20))
    patient = Patient()
    patient.more["memory"] = watch.look()
    assert gpu_memory.check(patient.evidence()).outcome == "does_not_apply"


def patient_with(*samples: GpuSample, high: frozenset[str] = frozenset()) -> Patient:
    patient = Patient()
    patient.report.samples = list(samples)
    patient.more["memory"] = MemoryLook(percent=80.0, high=high)
    return patient


def test_the_finding_names_who_is_on_it() -> None:
    patient = patient_with(sample(A, 91), sample(B, 10), high=frozenset({A}))
    patient.runs(container())
    patient.report.processes = [
        GpuProcess(gpu_uuid=A, pid=7, memory_used_bytes=1),
        GpuProcess(gpu_uuid=A, pid=8, memory_used_bytes=80, container=DETECTOR),
        GpuProcess(gpu_uuid=B, pid=9, memory_used_bytes=10),
    ]
    outcome = gpu_memory.check(patient.evidence())
    assert codes(outcome) == [("gpu.memory_high", f"gpu/{A}")]
    (finding,) = outcome.findings
    assert finding.evidence["users"] == "detector, process 7"
    assert finding.evidence["used_percent"] == "90"


def test_memory_that_is_not_told() -> None:
    outcome = gpu_memory.check(patient_with(sample(A, None), sample(B, 10)).evidence())
    assert outcome.outcome == "could_not_tell"
    assert outcome.reason == "GPU 0: its memory is not told"
