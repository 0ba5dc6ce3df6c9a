"""Which GPUs a workload gets, and why it gets none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.problems import ProblemError
from agent.protocol.workloads import GpuRequest
from agent.rules.placement import GpuSlot, choose

GIB = 2**30


def slot(index: int, **more: Any) -> GpuSlot:
    made = {"uuid": f"GPU-{index}000-{index}", "name": "NVIDIA A10", "memory_total_bytes": 24 * GIB}
    return GpuSlot(index=index, **{**made, **more})


def slice_(index: int, profile: str = "1g.10gb", **more: Any) -> GpuSlot:
    made = {"uuid": f"MIG-{index}000-{index}", "name": "NVIDIA H200", "profile": profile}
    return GpuSlot(index=index, **{"memory_total_bytes": 10 * GIB, **made, **more})


PLAIN = [
    slot(0, memory_used_bytes=9 * GIB, utilization_percent=1.0),
    slot(1, memory_used_bytes=1 * GIB, utilization_percent=90.0),
    slot(2, memory_used_bytes=5 * GIB, utilization_percent=50.0, name="Tesla T4"),
]
SPLIT = [slot(0, split=True, name="NVIDIA H200"), slice_(0), slice_(1), slice_(2, "3g.40gb")]


def chosen(select: str, slots: Sequence[GpuSlot] = PLAIN, **more: Any) -> list[str]:
    request = GpuRequest(select=select, **more)
    return [found.uuid for found in choose(request, slots, workload="web")]


def refused(select: str, slots: Sequence[GpuSlot] = PLAIN, **more: Any) -> ProblemError:
    with pytest.raises(ProblemError) as found:
        chosen(select, slots, **more)
    return found.value


@pytest.mark.parametrize(
    ("select", "more", "indices"),
    [
        ("least-memory", {}, [1]),
        ("least-memory", {"count": 2}, [1, 2]),
        ("least-busy", {}, [0]),
        ("all", {}, [0, 1, 2]),
        ("spread", {}, [0, 1, 2]),
        ("2", {}, [2]),
        ("2, 0", {}, [2, 0]),
        ("GPU-1000", {}, [1]),
        ("gpu-1000-1", {}, [1]),
        ("name=t4", {}, [2]),
        ("name=a10", {"count": 2}, [1, 0]),
        ("name=a10,2", {}, [1, 2]),
        ("1,name=a10", {}, [1, 0]),
        ("igpu", {}, [0]),
    ],
)
def test_it_gets(select: str, more: dict[str, Any], indices: list[int]) -> None:
    assert chosen(select, **more) == [PLAIN[index].uuid for index in indices]


def test_one_whose_load_is_not_known_is_not_the_least_busy() -> None:
    unknown, busy = slot(0), slot(1, utilization_percent=60.0)
    assert chosen("least-busy", [unknown, busy]) == [busy.uuid]


@pytest.mark.parametrize(
    ("select", "uuids"),
    [
        ("profile=1g.10gb", ["MIG-0000-0"]),
        ("profile=3G.40GB", ["MIG-2000-2"]),
        ("MIG-1000-1", ["MIG-1000-1"]),
    ],
)
def test_slices(select: str, uuids: list[str]) -> None:
    assert chosen(select, SPLIT) == uuids


@pytest.mark.parametrize(
    ("select", "slots", "code", "what"),
    [
        ("7", PLAIN, "placement.unknown", "no GPU here is 7"),
        ("GPU-9999", PLAIN, "placement.unknown", "no GPU here is GPU-9999"),
        ("name=b200", PLAIN, "placement.unknown", "no GPU here is name=b200"),
        ("profile=7g.80gb", SPLIT, "placement.unknown", "no GPU here is profile=7g.80gb"),
        ("MIG-7777", SPLIT, "placement.unknown", "no GPU here is MIG-7777"),
        ("0", SPLIT, "placement.mig", "only its slices can be had"),
        ("least-memory", SPLIT, "placement.none", "0 of them can be had"),
        ("least-memory", [], "placement.none", "no GPU that the agent sees"),
        ("", PLAIN, "placement.select", "it says nothing"),
        ("GPU", PLAIN, "placement.select", "it is no UUID"),
        ("1,GPU-1000", PLAIN, "placement.select", "the same GPU twice"),
        ("GPU-0000", [slot(0), slot(1, uuid="GPU-0000-1")], "placement.select", "more than one"),
        ("0", [slot(0, broken="fell off the bus")], "placement.broken", "fell off the bus"),
        ("0", [slot(0, exclusive="other")], "placement.exclusive", "belongs to other alone"),
    ],
)
def test_it_gets_none(select: str, slots: list[GpuSlot], code: str, what: str) -> None:
    problem = refused(select, slots)
    assert problem.code == code
    assert what in problem.detail


def test_what_is_reserved_counts_but_for_its_own() -> None:
    taken = [slot(0, reserved={"other": 20 * GIB, "web": 4 * GIB})]
    assert chosen("0", taken, memory_bytes=4 * GIB) == [taken[0].uuid]
    problem = refused("0", taken, memory_bytes=5 * GIB)
    assert problem.code == "placement.memory"
    assert "has 4.0 GiB that nobody has reserved, 5.0 GiB are wanted (beside other)" in (
        problem.detail
    )
    free = slot(1, memory_used_bytes=23 * GIB)  # in use by who reserved nothing: it may go
    assert chosen("least-memory", [*taken, free], memory_bytes=5 * GIB) == [free.uuid]


def test_alone_is_alone() -> None:
    beside = [slot(0, reserved={"other": 0}), slot(1, memory_used_bytes=20 * GIB)]
    assert chosen("least-memory", beside, exclusive=True) == [beside[1].uuid]
    problem = refused("0", beside, exclusive=True)
    assert (problem.code, problem.params["workloads"]) == ("placement.exclusive", ["other"])
    own = [slot(0, reserved={"web": 0}, exclusive="web")]
    assert chosen("0", own, exclusive=True) == [own[0].uuid]


def test_more_than_there_are() -> None:
    broken = [PLAIN[0], msgspec.structs.replace(PLAIN[1], broken="no answer")]
    assert refused("least-memory", broken, count=2).code == "placement.broken"
    assert refused("least-memory", count=4).code == "placement.none"


@given(st.text(max_size=30), st.integers(1, 64), st.booleans())
def test_any_text_is_an_answer(select: str, count: int, exclusive: bool) -> None:
    request = GpuRequest(select=select, count=count, exclusive=exclusive)
    code, found = "placement.", []
    try:
        found = choose(request, [*PLAIN, *SPLIT], workload="web")
    except ProblemError as problem:
        code = problem.code
    assert code.startswith("placement.")
    assert len({each.uuid for each in found}) == len(found)
    assert bool(found) == (code == "placement.")
