"""An image's own constraints, several GPUs in a node, and judges that are kept."""

from __future__ import annotations

import json

import pytest

from agent.rules.compatibility import Judge, judge
from agent.rules.tables import merge
from tests.agent.rules.judging import (
    BY_LIBRARY,
    C124,
    C131,
    D470,
    OLDER,
    TABLES,
    TOO_OLD,
    expect,
    fails,
    runs,
    told,
    warns,
)
from tests.agent.rules.nodes_made import (
    A10,
    CDI,
    K80,
    L4,
    ORIN,
    P100,
    RTX_4090,
    T4,
    board,
    image,
    node,
)

# The image's own constraints

T4_WINDOW = "cuda>=12.4 brand=tesla,driver>=470,driver<471 brand=geforce,driver>=470,driver<471"


def test_a_constraint_that_does_not_hold_keeps_the_container_from_starting() -> None:
    needs = image("12.4.1", require="cuda>=12.4 brand=tesla,driver>=525,driver<526")
    verdict = expect(
        needs,
        node("535.183.01", A10),
        fails(f"{OLDER} fails:requirement.unsatisfied", "550.54.14"),
    )
    assert "unsatisfied condition: cuda>=12.4" in verdict.gpus[0].reasons[-1].what


def test_with_cdi_nothing_looks_at_constraints_but_roost() -> None:
    needs = image("12.4.1", require="cuda>=12.4")
    expect(
        needs, node("535.183.01", A10, runtime=CDI), warns(f"{OLDER} warns:requirement.unsatisfied")
    )


def test_a_geforce_passes_its_window_and_dies_all_the_same() -> None:
    needs = image("12.4.1", require=T4_WINDOW, compat=C124)
    expect(needs, node(D470, T4), warns(BY_LIBRARY))
    expect(needs, node(D470, RTX_4090), fails("fails:cuda.compat_wrong_gpu", "550.54.14"))


def test_a_constraint_that_no_driver_for_the_gpu_satisfies() -> None:
    needs = image("11.8.0", require="cuda>=11.8")
    refused = f"{OLDER} fails:requirement.unsatisfied"
    expect(needs, node(D470, T4), fails(refused, "520.61.05"))
    expect(needs, node(D470, K80), fails(refused))


def test_the_last_branch_that_knows_a_gpu_is_still_one_for_it() -> None:
    verdict = judge(image("11.4.3", require="cuda>=11.4"), node("450.51.06", K80), TABLES)
    assert (verdict.ability, verdict.needs_driver) == ("fails", "470.42.01")


def test_with_cdi_constraints_ask_for_no_driver() -> None:
    expect(
        image("12.4.1", require="cuda>=99"),
        node(D470, T4, runtime=CDI),
        fails(f"{TOO_OLD} warns:requirement.unsatisfied", "525.60.13"),
    )


def test_an_operators_floor_for_one_minor() -> None:
    row = {"cuda": "12.4", "driver": "550.54.14", "source": "our own trouble"}
    tables = merge(TABLES, json.dumps({"driver_floors": [row]}))
    facts = node("535.183.01", A10)
    assert judge(image("12.4.1"), facts, tables).needs_driver == "550.54.14"
    assert judge(image("12.3.2"), facts, tables).ability == "warns"
    (reason,) = judge(image("12.4.1"), facts, tables).gpus[0].reasons
    assert reason.source == "our own trouble"


def test_constraints_that_are_switched_off() -> None:
    needs = image("12.4.1", require="cuda>=99")
    needs.requires_disabled = True
    expect(needs, node("550.54.14", A10), runs())


def test_no_driver_satisfies_a_constraint_on_the_brand() -> None:
    expect(
        image("12.4.1", require="brand=tesla"),
        node("550.54.14", A10),
        fails("fails:requirement.unsatisfied"),
    )


def test_a_property_that_the_language_lacks_warns() -> None:
    expect(
        image("12.4.1", require="vbios>=90"),
        node("550.54.14", A10),
        warns("warns:requirement.unknown_property"),
    )


@pytest.mark.parametrize("require", ["cuda>=x", "cuda"])
def test_an_expression_that_cannot_be_read(require: str) -> None:
    expect(
        image("12.4.1", require=require),
        node("550.54.14", A10),
        fails("fails:requirement.invalid"),
    )


def test_a_legacy_image() -> None:
    needs = image("12.4.1", require="")
    expect(
        needs,
        node("535.183.01", A10),
        fails(f"{OLDER} fails:requirement.unsatisfied", "550.54.14"),
    )
    needs = image("12.4.1.003", require="")
    expect(needs, node("550.54.14", A10), fails("fails:requirement.invalid"))


# Several GPUs, and judges that are kept


def test_a_node_is_as_good_as_its_best_gpu() -> None:
    facts = node("580.65.06", P100, board("NVIDIA A10", "8.6", "nvidia", index=1))
    verdict = judge(image("13.0.1"), facts, TABLES)
    assert verdict.ability == "runs"
    assert [(gpu.index, gpu.name, gpu.ability) for gpu in verdict.gpus] == [
        (0, "Tesla P100-PCIE-16GB", "fails"),
        (1, "NVIDIA A10", "runs"),
    ]
    assert verdict.gpus[0].uuid == "GPU-0"
    assert (verdict.reasons, verdict.needs_driver) == ([], None)


def test_the_least_driver_is_that_of_the_gpu_that_needs_least() -> None:
    facts = node(D470, K80, board("Tesla T4", "7.5", "tesla", index=1))
    verdict = judge(image("12.4.1"), facts, TABLES)
    assert (verdict.ability, verdict.needs_driver) == ("fails", "525.60.13")
    assert judge(image("12.4.1"), node(D470, K80), TABLES).needs_driver is None


def test_a_judge_does_not_mix_up_what_it_was_asked() -> None:
    needs = image("13.1.0", compat=C131)
    kept = Judge(needs, TABLES)
    nodes = [
        node(driver, gpu, runtime=runtime)
        for driver in (D470, "535.183.01", "580.65.06", None)
        for gpu in (T4, L4, RTX_4090, P100, ORIN)
        for runtime in (CDI, node("1", T4).runtime)
    ]
    for facts in (*nodes, *reversed(nodes)):
        assert kept(facts) == judge(needs, facts, TABLES)


def test_verdicts_do_not_share_their_lists() -> None:
    kept = Judge(image("12.4.1"), TABLES)
    first = kept(node(D470, T4))
    first.gpus[0].reasons.clear()
    first.reasons.append(judge(image(None), node(D470, T4), TABLES).reasons[0])
    assert told(kept(node(D470, T4))) == TOO_OLD
