"""GPUs that run slower than they could, because of heat or power."""

from __future__ import annotations

from typing import NamedTuple

from agent.doctor.check import conclude, without_gpus
from agent.doctor.evidence import Evidence
from agent.protocol.findings import CheckOutcome, Finding, Severity
from agent.protocol.gpus import Gpu, GpuSample
from agent.rules.quantise import CLOCK_STEP_MHZ, POWER_STEP_WATTS, stepped, whole

NAME = "throttling"

# Ours: throttled in four of five samples of at least half a minute is no passing moment.
SUSTAINED_SHARE = 0.8
SUSTAINED_SECONDS = 30.0


class _Kind(NamedTuple):
    code: str
    severity: Severity
    reasons: frozenset[str]
    title: str
    cause: str
    mend: str


_KINDS = (
    _Kind(
        "gpu.throttled_thermal",
        "warning",
        frozenset({"sw_thermal", "hw_thermal"}),
        "slowed down by heat",
        "The GPU is at its temperature limit and lowers its clocks to stay there.",
        "Check fans, dust, air flow and the room's temperature. `nvidia-smi -q -d TEMPERATURE "
        "-i {gpu}` has the limits.",
    ),
    _Kind(
        "gpu.throttled_power_brake",
        "error",
        frozenset({"hw_power_brake"}),
        "slowed down by the power supply",
        "The machine's power supply signals the GPU to use less: it is too weak, or failing.",
        "Check the power supplies and the card's power cables; `sudo ipmitool sdr type "
        "'Power Supply'` where the machine has a BMC.",
    ),
    _Kind(
        "gpu.throttled_hardware",
        "warning",
        frozenset({"hw_slowdown"}),
        "slowed down by its hardware",
        "The board lowers its clocks because of heat or power, and does not say which.",
        "Check cooling and power cables: `nvidia-smi -q -d PERFORMANCE,POWER -i {gpu}`.",
    ),
    _Kind(
        "gpu.throttled_power",
        "info",
        frozenset({"sw_power_cap"}),
        "held at its power limit",
        "The GPU is at its power limit and keeps its clocks there. Under full load that is "
        "normal, unless the limit was set too low.",
        "`nvidia-smi -q -d POWER -i {gpu}` shows the limit; `sudo nvidia-smi -i {gpu} -pl WATTS` "
        "changes it.",
    ),
)


def check(evidence: Evidence) -> CheckOutcome:
    """Found where a reason stood in most samples of the last minute; evidence says how long."""
    report = evidence.gpus
    if (ended := without_gpus(NAME, evidence)) is not None:
        return ended
    samples = {sample.uuid: sample for sample in report.samples}
    findings: list[Finding] = []
    unknown: list[str] = []
    for gpu in report.gpus:
        sample = samples.get(gpu.uuid)
        if sample is None or "throttle" in sample.unknown:
            reason = sample.unknown["throttle"] if sample is not None else "not read yet"
            unknown.append(f"GPU {gpu.index}: {reason}")
            continue
        _one(evidence, gpu, sample, findings, unknown)
    return conclude(NAME, findings, unknown)


def _one(
    evidence: Evidence, gpu: Gpu, sample: GpuSample, findings: list[Finding], unknown: list[str]
) -> None:
    moments = [
        (moment.at, moment.reasons[gpu.uuid])
        for moment in evidence.throttling
        if gpu.uuid in moment.reasons
    ]
    span = moments[-1][0] - moments[0][0] if moments else 0.0
    explained = False
    for kind in _KINDS:
        if kind.code == "gpu.throttled_hardware" and explained:
            continue  # hw_slowdown stands beside the reason that says more
        if span < SUSTAINED_SECONDS:
            if kind.reasons & set(sample.throttle):
                explained = True
                unknown.append(
                    f"GPU {gpu.index} is {kind.title} now; for how long is not known, with "
                    f"{span:.0f} s of samples"
                )
            continue
        slowed = sum(1 for _, reasons in moments if kind.reasons & set(reasons))
        if slowed >= SUSTAINED_SHARE * len(moments):
            explained = True
            findings.append(_finding(kind, gpu, sample, span * slowed / len(moments), span))


def _finding(kind: _Kind, gpu: Gpu, sample: GpuSample, slowed: float, span: float) -> Finding:
    # Rounded as live figures are, so that a finding that stands is quiet on the wire.
    figures = {
        "temperature_celsius": whole(sample.temperature_celsius),
        "power_watts": stepped(sample.power_watts, POWER_STEP_WATTS),
        "power_limit_watts": gpu.power_limit_watts,
        "sm_clock_mhz": stepped(sample.sm_clock_mhz, CLOCK_STEP_MHZ),
    }
    return Finding(
        code=kind.code,
        severity=kind.severity,
        subject=f"gpu/{gpu.uuid}",
        title=f"GPU {gpu.index} is {kind.title}",
        cause=kind.cause,
        mend=kind.mend.format(gpu=gpu.uuid),
        evidence={
            "throttled_seconds": f"{stepped(slowed, 10)} of the last {stepped(span, 10)}",
            **{name: f"{value:g}" for name, value in figures.items() if value is not None},
        },
    )
