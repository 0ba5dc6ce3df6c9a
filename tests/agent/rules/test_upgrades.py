"""The best variant for a node, and the driver that a node would need."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocol.compatibility import ABILITIES, CompatLibrary
from agent.protocol.gpus import Gpu
from agent.protocol.node import NodeFacts
from agent.rules.compatibility import Judge
from agent.rules.tables import built_in
from agent.rules.upgrades import Upgrade, upgrade_plan, with_driver
from agent.rules.variants import best_variant
from tests.agent.rules.nodes_made import (
    A10,
    CDI,
    DEVICES,
    DOCKER,
    GTX_1080,
    H200,
    K80,
    P100,
    RTX_5090,
    T4,
    board,
    image,
    jetson,
    library,
    node,
)

TABLES = built_in()
VARIANTS = {
    "cuda11": Judge(image("11.8.0"), TABLES),
    "cuda12": Judge(image("12.4.1"), TABLES),
    "cuda13": Judge(image("13.0.1"), TABLES),
}


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        (node("580.65.06", H200), "cuda13"),
        (node("580.65.06", P100), "cuda12"),
        (node("550.54.14", A10), "cuda12"),
        (node("535.183.01", A10), "cuda11"),  # without a warning
        (node("470.256.02", T4), "cuda11"),
        (node("470.256.02", K80), "cuda11"),
        (node("580.65.06", RTX_5090), "cuda13"),
        (node(None, A10), "cuda13"),  # all of them unknown: the newest
        (node("470.256.02"), None),
        (jetson("36.4.0"), None),
    ],
)
def test_every_node_gets_the_best_that_it_can_run(facts: NodeFacts, name: str | None) -> None:
    choice = best_variant(VARIANTS, facts)
    assert choice.name == name
    assert set(choice.verdicts) == set(VARIANTS)
    assert choice.why.endswith(".")
    for variant in VARIANTS:
        assert variant in choice.why


def test_why() -> None:
    assert best_variant(VARIANTS, node("470.256.02", T4)).why == (
        "cuda11 can run with a warning (Driver 470.256.02 is older than the one that CUDA 11.8 "
        "came with: it runs by minor-version compatibility; what is new in it, and code that is "
        "there only as PTX (CUDA error 222), fails); cuda13 cannot run (Driver 470.256.02 is too "
        "old for CUDA 13.0, which needs 580.65.06); cuda12 cannot run (Driver 470.256.02 is too "
        "old for CUDA 12.4, which needs 525.60.13)."
    )
    assert best_variant({}, node("470.256.02", T4)).name is None


def test_of_two_alike_the_first_named() -> None:
    twins = {"b": Judge(image("12.4.1"), TABLES), "a": Judge(image("12.4.0"), TABLES)}
    assert best_variant(twins, node("550.54.14", A10)).name == "b"


def plan(*nodes: NodeFacts, month: str = "", whole: bool = False) -> list[Upgrade]:
    return upgrade_plan(VARIANTS, nodes, TABLES, month=month, whole=whole)


def test_a_plan() -> None:
    t4, well, pascal, orin = plan(
        node("470.256.02", T4, name="t4"),
        node("580.65.06", H200, name="well"),
        node("470.256.02", GTX_1080, name="pascal"),
        jetson("36.4.0"),
        month="2026-11",
    )
    assert t4 == Upgrade(
        node="t4",
        driver_now="470.256.02",
        driver="580.65.06",
        branch=580,
        branch_end="2028-06",
        mended=["cuda12", "cuda13"],
        after={"cuda11": "runs", "cuda12": "runs", "cuda13": "runs"},
    )
    assert (well.driver, well.mended, well.not_mended, well.after) == (None, [], {}, {})
    assert (pascal.driver, pascal.branch, pascal.mended) == ("525.60.13", 580, ["cuda12"])
    assert pascal.not_mended == {
        "cuda13": "CUDA 13.0 has no code for this GPU (pascal, compute capability 6.1)."
    }
    assert pascal.after == {"cuda11": "runs", "cuda12": "warns", "cuda13": "fails"}
    assert orin.driver is None
    assert set(orin.not_mended) == set(VARIANTS)


def test_a_branch_that_is_still_looked_after() -> None:
    pascal = node("470.256.02", GTX_1080)
    assert plan(pascal, month="2026-06")[0].branch == 535
    assert plan(pascal, month="2026-07")[0].branch == 580
    assert plan(pascal)[0].branch == 535
    assert plan(pascal, month="2030-01")[0].branch is None


def test_the_whole_of_it_without_a_warning() -> None:
    a10 = node("535.183.01", A10)
    assert plan(a10)[0].driver == "580.65.06"
    twelve = {"cuda12": VARIANTS["cuda12"]}
    assert upgrade_plan(twelve, [a10], TABLES)[0].driver is None
    whole = upgrade_plan(twelve, [a10], TABLES, whole=True)[0]
    assert (whole.driver, whole.after) == ("550.54.14", {"cuda12": "runs"})
    (pascal,) = upgrade_plan(twelve, [node("470.256.02", GTX_1080)], TABLES, whole=True)
    assert (pascal.driver, pascal.after) == ("550.54.14", {"cuda12": "runs"})


def test_a_jetson_is_not_told_to_get_a_servers_driver() -> None:
    needs = image("12.9.1", architecture="arm64", l4t="36.4")
    jetsons = {"image": Judge(needs, TABLES)}
    for whole in (False, True):
        (upgrade,) = upgrade_plan(jetsons, [jetson("36.4.0")], TABLES, whole=whole)
        assert (upgrade.driver, upgrade.not_mended) == (None, {})


def test_a_node_without_a_driver_needs_the_floor() -> None:
    facts = node(None)
    facts.gpu_stack.state = "no_library"
    (upgrade,) = plan(facts)
    assert (upgrade.driver, upgrade.mended) == ("580.65.06", ["cuda11", "cuda12", "cuda13"])
    assert upgrade.after == {}


def test_another_driver_says_its_cuda() -> None:
    changed = with_driver(node("470.256.02", T4), "535.104.05", TABLES)
    stack = changed.gpu_stack
    assert (stack.driver_version, stack.cuda_version, stack.state) == ("535.104.05", "12.2", "ok")
    assert with_driver(changed, "300.1", TABLES).gpu_stack.cuda_version is None


# Whatever the image and the node

BRANDS = st.sampled_from([None, "tesla", "nvidia", "geforce", "nvidiartx", "unknown", "x"])
CAPABILITIES = st.sampled_from([None, *TABLES.gpu_architectures, "14.0", "x"])
DRIVERS = st.sampled_from(
    [None, "390.157", "x", *(row.driver for row in TABLES.toolkit_drivers.values())]
)
LIBRARIES = st.sampled_from(
    [
        None,
        library("520.61.05"),
        library("550.54.15"),
        library("x"),
        library("575.57.08", "12.9", [535, 550, 575], DEVICES),
        library("595.58.03", "13.2"),
    ]
)
REQUIRES = st.sampled_from(
    ["", "cuda>=9.0", "cuda>=12.4", "cuda>=13.0 brand=tesla,driver>=535,driver<536", "brand=x", "?"]
)
CUDAS = st.sampled_from([None, "", "x", "14.0", *TABLES.toolkit_drivers])
TENSORRTS = st.sampled_from([None, "x", "8.4.1", "8.6.1", "10.4.0", "10.8.0", "11.0"])


@st.composite
def judges(draw: st.DrawFn) -> Judge:
    compat: CompatLibrary | None = draw(LIBRARIES)
    needs = image(
        draw(CUDAS),
        compat=compat,
        tensorrt=draw(TENSORRTS),
        inside=compat is not None or draw(st.booleans()),
        require=draw(REQUIRES),
        l4t=draw(st.sampled_from([None, None, "36.4", "x"])),
    )
    return Judge(needs, TABLES)


@st.composite
def nodes(draw: st.DrawFn) -> NodeFacts:
    gpus: list[Gpu] = [
        board("some GPU", draw(CAPABILITIES), draw(BRANDS), index)
        for index in range(draw(st.integers(0, 2)))
    ]
    driver = draw(DRIVERS)
    facts = node(driver, *gpus, cuda=None, runtime=draw(st.sampled_from([DOCKER, CDI])))
    if driver and driver[0].isdecimal():
        facts = with_driver(facts, driver, TABLES)
    facts.gpu_stack.l4t_version = draw(st.sampled_from([None, None, None, "36.4.0", "x"]))
    return facts


@settings(deadline=None, max_examples=300)
@given(judges(), nodes())
def test_a_verdict_is_as_bad_as_what_it_tells(judge: Judge, facts: NodeFacts) -> None:
    verdict = judge(facts)
    rank = ABILITIES.index
    for gpu in verdict.gpus:
        assert rank(gpu.ability) == max((rank(each.ability) for each in gpu.reasons), default=0)
    best = min((rank(gpu.ability) for gpu in verdict.gpus), default=0)
    worst = max((rank(each.ability) for each in verdict.reasons), default=0)
    assert rank(verdict.ability) == max(best, worst)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=type(verdict)) == verdict


@settings(deadline=None, max_examples=300)
@given(judges(), nodes())
def test_the_driver_that_is_needed_helps_and_none_older_is_proposed(
    judge: Judge, facts: NodeFacts
) -> None:
    verdict = judge(facts)
    needed = verdict.needs_driver
    if verdict.ability in ("runs", "warns"):
        assert needed is None
    if needed is None:
        return
    assert judge(with_driver(facts, needed, TABLES)).ability in ("runs", "warns")


@settings(deadline=None, max_examples=100)
@given(st.lists(judges(), max_size=3), nodes())
def test_plans_and_choices_never_raise(several: list[Judge], facts: NodeFacts) -> None:
    named = {str(number): judge for number, judge in enumerate(several)}
    choice = best_variant(named, facts)
    if choice.name is not None:
        ranks = [ABILITIES.index(verdict.ability) for verdict in choice.verdicts.values()]
        assert ABILITIES.index(choice.verdicts[choice.name].ability) == min(ranks)
    for whole in (False, True):
        (upgrade,) = upgrade_plan(named, [facts], TABLES, whole=whole)
        if upgrade.driver is not None and facts.gpus:
            assert all(upgrade.after[name] in ("runs", "warns") for name in upgrade.mended)
