"""Containers over their ceiling: when it is told, and until when."""

from __future__ import annotations

import pytest

from agent.protocol.gpus import GpuProcess
from agent.workloads.ceilings import SAMPLES, CeilingWatch

GPU, OTHER = "GPU-a", "GPU-b"
CEILING = {"detector": 100}


def process(used: int | None, *, gpu: str = GPU, container: str | None = "detector") -> GpuProcess:
    return GpuProcess(gpu_uuid=gpu, pid=1, memory_used_bytes=used, container=container)


def told(watch: CeilingWatch, *moments: list[GpuProcess]) -> list[bool]:
    """Whether the detector is over on GPU after each moment."""
    found = []
    for each in moments:
        watch.add(each, CEILING)
        found.append(GPU in watch.over("detector"))
    return found


def test_it_lasts_before_it_is_told() -> None:
    watch = CeilingWatch()
    assert told(watch, *[[process(101)]] * SAMPLES) == [False] * (SAMPLES - 1) + [True]
    assert watch.over("detector") == {GPU: 101}


def test_only_the_change_is_told_to_the_caller() -> None:
    watch = CeilingWatch()
    changes = [watch.add([process(101)], CEILING) for _ in range(2 * SAMPLES)]
    assert changes == [False] * (SAMPLES - 1) + [True] + [False] * SAMPLES


@pytest.mark.parametrize(
    ("moment", "over"),
    [
        ([process(100)], False),  # just what it may
        ([process(60), process(60)], True),  # its processes together
        ([process(60), process(60, gpu=OTHER)], False),  # each GPU by itself
        ([process(60), process(60, container=None)], False),
        ([process(60), process(60, container="other")], False),
        ([process(500, container="other")], False),  # it has no ceiling
        ([process(None)], False),
        ([process(None), process(101)], True),
    ],
)
def test_what_counts(moment: list[GpuProcess], *, over: bool) -> None:
    assert told(CeilingWatch(), *[moment] * 20)[-1] is over


@pytest.mark.parametrize(
    ("moments", "stays"),
    [
        ([[process(90)], [process(110)]] * 10, True),
        ([[process(90)]] * SAMPLES, False),
        ([[]] * SAMPLES, False),  # it ended
        ([[]] * (SAMPLES - 1), True),
        ([[process(None)]] * 20, True),  # nothing says that it is below
    ],
)
def test_it_stays_until_it_is_below_for_a_while(
    moments: list[list[GpuProcess]], *, stays: bool
) -> None:
    watch = CeilingWatch()
    told(watch, *[[process(200)]] * SAMPLES)
    assert told(watch, *moments)[-1] is stays


def test_slices_count_by_themselves() -> None:
    watch = CeilingWatch()
    slices = [
        GpuProcess(gpu_uuid=GPU, mig_uuid=f"MIG-{each}", pid=each, memory_used_bytes=size,
                   container="detector")
        for each, size in enumerate((80, 120))
    ]  # fmt: skip
    told(watch, *[slices] * SAMPLES)
    assert watch.over("detector") == {"MIG-1": 120}


def test_a_container_that_is_no_workload_any_more_is_forgotten() -> None:
    watch = CeilingWatch()
    told(watch, *[[process(200)]] * SAMPLES)
    assert watch.add([process(200)], {})
    assert watch.over("detector") == {}
