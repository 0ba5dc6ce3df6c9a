"""Which nodes a simulated fleet has, and that their facts go together."""

from __future__ import annotations

from collections import Counter

import pytest

from agent.simulation.catalogue import COMMON_KINDS, KIND_NO_GPU, KINDS
from agent.simulation.plan import FAULTY_KINDS, plan_fleet


def test_the_demo_has_every_kind_and_every_fault_once() -> None:
    plans = plan_fleet(24)
    assert {plan.kind.name for plan in plans} >= {kind.name for kind in (*KINDS, KIND_NO_GPU)}
    faults = Counter(plan.fault for plan in plans if plan.fault)
    assert faults == dict.fromkeys(FAULTY_KINDS, 1)


@pytest.mark.parametrize("count", [1, 24, 1000])
def test_names_are_unique_and_say_site_and_fault(count: int) -> None:
    plans = plan_fleet(count)
    assert len({plan.name for plan in plans}) == count
    for plan in plans:
        assert plan.name.startswith(f"{plan.labels['site']}-{plan.fault or plan.kind.name}")
        assert plan.labels["gpu"] == plan.kind.label
        assert plan.labels["simulated"] == "true"


def test_without_faults_there_are_none() -> None:
    assert {plan.fault for plan in plan_fleet(200, faults=False)} == {None}


def test_the_same_seed_gives_the_same_fleet() -> None:
    assert plan_fleet(50, seed=3) == plan_fleet(50, seed=3)
    assert plan_fleet(50, seed=3) != plan_fleet(50, seed=4)
    assert plan_fleet(100)[:50] == plan_fleet(50)


def test_the_facts_of_a_kind_go_together() -> None:
    by_name = {kind.name: kind for kind in KINDS}
    old, new, podman = by_name["t4"], by_name["h200"], by_name["podman"]
    assert old.driver is not None
    assert old.driver.version.startswith("470.")
    assert (old.runtime.version, old.runtime.image_store) == ("20.10.24", "graphdriver")
    assert (new.runtime.image_store, new.gpu_way) == ("containerd", "cdi")
    assert (podman.runtime.name, podman.runtime.image_store) == ("Podman", "podman")
    assert by_name["orin"].runtime.default_runtime == "nvidia"
    for kind in (*KINDS, *COMMON_KINDS, KIND_NO_GPU):
        assert kind.runtime.state == "simulated"
        assert (kind.board is None) == (kind.gpu_count == 0) == (kind.driver is None)
        assert kind.runtime.default_runtime in kind.runtime.runtimes


def test_the_slices_of_the_sliced_gpu_fit_into_it() -> None:
    board = next(kind.board for kind in KINDS if kind.name == "a100-mig")
    assert board is not None
    assert board.memory_mebibytes is not None
    assert len(board.slices) > 1
    assert sum(each.memory_mebibytes for each in board.slices) <= board.memory_mebibytes
