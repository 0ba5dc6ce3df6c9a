"""Memory, utilisation, temperature, measures, GPUs seen from inside; XIDs and restarts."""

from __future__ import annotations

import math

import msgspec
import pytest

from agent.protocol.arms import Arm, ArmGpu, Arms, Figure, GpuProbed
from console.rollouts.judging.analysis import Analysis, Condition
from console.rollouts.judging.judge import Judgement
from tests.console.rollouts.judging.arms_made import arm, arms, judged

GIB = 1 << 30
MEMORY = Condition(of="gpu_memory", at_most=4.0 * GIB, consecutive=3)
ACCURACY = Condition(of="measure", name="accuracy", at_least=0.9, least=2)


def read(*values: float, unknown: str | None = None, errors: int = 0, at: float = 0) -> Figure:
    """So many good readings, each a second after the one before."""
    if not values:
        return Figure(unknown=unknown or "no reading yet", errors=errors)
    return Figure(
        count=len(values),
        last=values[-1],
        last_at=at + len(values),
        errors=errors,
        unknown=unknown,
    )


def gpu(xids: int | None = 0, **more: object) -> ArmGpu:
    given = {"unknown": {}} if xids is not None else {"unknown": {"xids": "NVML has no events"}}
    return ArmGpu(uuid="GPU-1", xids=xids, **given, **more)  # type: ignore[arg-type]


def with_memory(figure: Figure | None, stable: Figure | None = None, **more: str) -> Arms:
    ours = arm(gpus=[gpu()], gpu_memory_bytes=figure, unknown=more)
    return arms(ours, arm(gpus=[gpu()], gpu_memory_bytes=stable))


def with_accuracy(figure: Figure, stable: Figure | None = None, window: str = "w1") -> Arms:
    theirs = arm(measures={"accuracy": stable} if stable else {})
    return arms(arm(measures={"accuracy": figure}), theirs, window=window)


def run(condition: Condition, told: list[Arms]) -> list[Judgement]:
    return judged(Analysis(conditions=(condition,)), told)


def outcomes(condition: Condition, told: list[Arms]) -> list[str]:
    return [each.outcome for each in run(condition, told)]


# bounds


def test_so_many_in_a_row_must_be_out_of_bounds() -> None:
    values = [5.0 * GIB, 5.0 * GIB, 3.0 * GIB, 5.0 * GIB, 5.0 * GIB, 5.0 * GIB]
    told = [with_memory(read(*values[:n])) for n in range(1, 7)]
    assert outcomes(MEMORY, told) == ["wait", "wait", "pass", "wait", "wait", "fail"]


def test_the_same_reading_counts_once() -> None:
    told = [with_memory(read(5.0 * GIB))] * 10
    assert outcomes(MEMORY, told) == ["wait"] * 10


def test_a_leak_is_found() -> None:
    told = [with_memory(read(*[GIB * 0.25 * k for k in range(1, n)])) for n in range(2, 40)]
    found = run(MEMORY, told)
    assert found[-1].outcome == "fail"
    assert "GPU memory 4.8 GiB, 4.0 GiB at most" in found[-1].why


def test_a_number_at_least() -> None:
    told = [with_accuracy(read(0.95)), with_accuracy(read(0.95, 0.94))]
    assert outcomes(ACCURACY, told) == ["wait", "pass"]
    assert outcomes(ACCURACY, [with_accuracy(read(0.95)), with_accuracy(read(0.95, 0.89))]) == [
        "wait",
        "fail",
    ]


@pytest.mark.parametrize(("ours", "outcome"), [(0.95, "pass"), (0.90, "pass"), (0.85, "fail")])
def test_against_stable_where_more_is_better(ours: float, outcome: str) -> None:
    condition = Condition(of="measure", name="accuracy", worse_by=0.05, better="higher")
    assert outcomes(condition, [with_accuracy(read(ours), read(0.94))]) == [outcome]


@pytest.mark.parametrize(("ours", "outcome"), [(1.0, "pass"), (2.3, "pass"), (2.5, "fail")])
def test_against_stable_where_less_is_better(ours: float, outcome: str) -> None:
    condition = Condition(of="gpu_memory", worse_by=0.2)
    told = [with_memory(read(ours * GIB), read(2.0 * GIB))]
    assert outcomes(condition, told) == [outcome]


def test_against_a_stable_that_is_not_there_or_not_read() -> None:
    condition = Condition(of="gpu_memory", worse_by=0.2)
    alone = arms(arm(gpus=[gpu()], gpu_memory_bytes=read(5.0)), Arm())
    assert outcomes(condition, [alone] * 5)[-1] == "inconclusive"
    assert outcomes(condition, [with_memory(read(5.0), read())] * 5)[-1] == "inconclusive"


def test_of_several_gpus_the_hottest_counts() -> None:
    cool = gpu(temperature_celsius=read(50.0))
    hot = gpu(temperature_celsius=read(91.0), shared_with=["stable"])
    condition = Condition(of="gpu_temperature", at_most=85)
    found = run(condition, [arms(arm(gpus=[cool, hot]), arm())])[-1]
    assert found.outcome == "fail"
    assert found.why == (
        "web: GPU temperature 91 °C, 85 °C at most (the GPU is shared with stable)"
    )


def test_utilisation() -> None:
    condition = Condition(of="gpu_utilization", at_most=95)
    busy = gpu(utilization_percent=read(99.0))
    assert outcomes(condition, [arms(arm(gpus=[busy]), arm())]) == ["fail"]


def test_who_was_given_no_gpu_has_no_bounds_on_one() -> None:
    for condition in (
        MEMORY,
        Condition(of="gpu_temperature", at_most=85),
        Condition(of="xids", at_most=0),
        Condition(of="gpu_probe"),
    ):
        assert outcomes(condition, [arms(arm(gpus=[]), arm())]) == ["pass"]


# what cannot be read, and what breaks


def test_what_cannot_be_read_is_inconclusive() -> None:
    told = [with_memory(None, gpu_memory_bytes="the driver does not tell")] * 5
    found = run(MEMORY, told)[-1]
    assert found.outcome == "inconclusive"
    assert "the driver does not tell" in found.why
    assert outcomes(ACCURACY, [arms(arm(), arm())] * 5)[-1] == "inconclusive"


def test_no_reading_yet_waits_and_is_no_data_in_the_end() -> None:
    told = [with_accuracy(read())] * 130
    found = outcomes(ACCURACY, told)
    assert set(found[:120]) == {"wait"}
    assert found[-1] == "inconclusive"


def test_an_endpoint_that_hangs_is_an_error_with_a_limit_of_its_own() -> None:
    told = [
        with_accuracy(read(0.95, 0.95, errors=n, unknown="no answer within 5 s")) for n in range(9)
    ]
    told[0] = with_accuracy(read(0.95, 0.95))
    found = run(ACCURACY, told)
    assert [each.outcome for each in found] == ["pass"] + ["wait"] * 5 + ["error"] * 3
    assert "no answer within 5 s" in found[-1].why


def test_one_good_reading_begins_the_count_anew() -> None:
    told = []
    for n in range(1, 13):
        bad = n % 5 != 0
        told.append(
            with_accuracy(read(*[0.95] * (2 + n // 5), errors=n, unknown="x" * bad or None))
        )
    assert "error" not in outcomes(ACCURACY, told)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_a_broken_reading(value: float) -> None:
    told = [with_accuracy(read(*[0.9] * n, value)) for n in range(1, 9)]
    found = run(ACCURACY, told)
    assert [each.outcome for each in found] == ["wait"] * 5 + ["error"] * 3
    assert "no number" in found[-1].why
    assert b"null" not in msgspec.json.encode(found[-1].looks)


def test_another_window_begins_with_new_readings() -> None:
    told = [with_accuracy(read(0.95, 0.95)), with_accuracy(read(0.5), window="w2")]
    assert outcomes(ACCURACY, told) == ["pass", "fail"]


def test_while_it_warms_up_nothing_is_out_of_bounds() -> None:
    warm = msgspec.structs.replace(MEMORY, initial_delay=12, consecutive=1)
    told = [with_memory(read(9.0 * GIB)), with_memory(read(9.0 * GIB, 9.0 * GIB))]
    told += [with_memory(read(9.0 * GIB, 9.0 * GIB, 1.0 * GIB))]
    assert outcomes(warm, told) == ["wait", "wait", "pass"]


# what is seen from inside


def probed(verdict: str, at: float, window: str = "w1") -> Arms:
    seen = GpuProbed(verdict=verdict, how="probe", what="GPU-9", at=at)  # type: ignore[arg-type]
    return arms(arm(gpus=[gpu()], gpu_probe=seen), arm(), window=window)


def test_wrong_gpus_fail_when_seen_twice() -> None:
    condition = Condition(of="gpu_probe", consecutive=2)
    told = [probed("right", 1), probed("wrong", 2), probed("wrong", 2), probed("wrong", 3)]
    assert outcomes(condition, told) == ["pass", "wait", "wait", "fail"]
    told = [probed("wrong", 1), probed("wrong", -4, "w2"), probed("wrong", 5, "w2")]
    assert outcomes(condition, told) == ["wait", "wait", "fail"]


def test_gpus_that_nobody_could_see_are_not_right() -> None:
    assert outcomes(Condition(of="gpu_probe"), [probed("unknown", 1)] * 5)[-1] == "inconclusive"


# counters


def counted(xids: int | None = 0, restarts: int | None = 0, window: str = "w1") -> Arms:
    given = gpu(xids, xid_codes=[79] if xids else [])
    return arms(arm(gpus=[given], restarts=restarts), arm(), window=window)


def test_one_xid_or_restart_too_many_fails_at_once() -> None:
    xids = Condition(of="xids", at_most=0)
    found = run(xids, [counted(), counted(1)])
    assert [each.outcome for each in found] == ["pass", "fail"]
    assert found[-1].why == "web: XIDs 1, 0 may be: XID 79"
    assert outcomes(
        Condition(of="restarts", at_most=1), [counted(restarts=n) for n in range(3)]
    ) == [
        "pass",
        "pass",
        "fail",
    ]


def test_windows_do_not_begin_the_count_anew_but_an_agent_does() -> None:
    one = Condition(of="restarts", at_most=1)
    told = [counted(restarts=1), counted(restarts=1, window="w2"), counted(restarts=1, window="w3")]
    assert outcomes(one, told) == ["pass"] * 3
    told = [counted(restarts=1), counted(restarts=0), counted(restarts=1)]
    assert outcomes(one, told) == ["pass", "pass", "fail"]


def test_counts_that_nobody_has() -> None:
    found = run(Condition(of="xids", at_most=0), [counted(None)] * 5)[-1]
    assert found.outcome == "inconclusive"
    assert "NVML has no events" in found.why
    assert outcomes(Condition(of="restarts", at_most=0), [counted(0, None)] * 5)[-1] == (
        "inconclusive"
    )


def test_what_was_counted_while_it_warmed_up_is_taken_off() -> None:
    warm = Condition(of="restarts", at_most=0, initial_delay=7)
    assert outcomes(warm, [counted(restarts=2)] * 3) == ["wait", "pass", "pass"]
    assert outcomes(warm, [counted(restarts=2), counted(restarts=3)]) == ["wait", "fail"]
