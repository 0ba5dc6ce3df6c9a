"""How many nodes change at a time: in all, of each group, and how soon after each other."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import hypothesis.strategies as st
import msgspec
from hypothesis import given, settings

from console.rollouts.judging.analysis import Analysis
from console.rollouts.strategy import Amount, PerGroup, Strategy
from tests.console.rollouts.fleet_double import FleetDouble

CALM = Strategy(
    soak=10,
    min_healthy=0,
    max_unavailable=Amount(count=100),
    confirm_within=900,
    analysis=Analysis(conditions=()),
)
PER_SITE = PerGroup("site", Amount(count=1))


def sited(count: int, sites: int, **changes: object) -> FleetDouble:
    """One wave over so many sites, one node after the other; some have no site."""
    fleet = FleetDouble([count], msgspec.structs.replace(CALM, **changes))
    for number, node in enumerate(fleet.rollout.nodes):
        if number % sites:
            node.groups = {"site": f"s{number % sites}"}
        fleet.nodes[node.name].slow = 5
    return fleet


def changing(fleet: FleetDouble) -> Counter[str]:
    return Counter(
        node.groups.get("site", "")
        for node in fleet.rollout.nodes
        if node.stage in ("applying", "reverting")
    )


def test_one_of_each_site_at_a_time_and_those_without_one_are_one_group() -> None:
    fleet = sited(12, 4, max_unavailable_per=(PER_SITE,))
    most: Counter[str] = Counter()
    while fleet.rollout.state != "done":
        fleet.tick()
        most |= changing(fleet)
    assert most == {"": 1, "s1": 1, "s2": 1, "s3": 1}


def test_the_limit_of_all_nodes_holds_beside_that_of_groups() -> None:
    fleet = sited(12, 4, max_unavailable_per=(PER_SITE,), max_unavailable=Amount(count=2))
    while fleet.rollout.state != "done":
        fleet.tick()
        assert changing(fleet).total() <= 2


def test_a_share_of_a_group_is_one_node_at_least() -> None:
    fleet = sited(40, 4, max_unavailable_per=(PerGroup("site", Amount(percent=25)),))
    fleet.run(3)
    assert changing(fleet) == {"": 2, "s1": 2, "s2": 2, "s3": 2}
    small = sited(4, 4, max_unavailable_per=(PerGroup("site", Amount(percent=25)),))
    small.run(3)
    assert changing(small) == {"": 1, "s1": 1, "s2": 1, "s3": 1}


def test_undo_keeps_the_limits_of_groups_and_at_once_does_not() -> None:
    fleet = sited(12, 4, max_unavailable_per=(PER_SITE,))
    fleet.run_until("done")
    fleet.steering.wish("undo", "maria", fleet.now)
    fleet.steering.step(fleet.now)
    assert changing(fleet) == {"": 1, "s1": 1, "s2": 1, "s3": 1}
    fleet.run_until("undone")
    other = sited(12, 4, max_unavailable_per=(PER_SITE,), max_unavailable=Amount(count=1))
    other.run_until("done")
    other.steering.wish("undo-at-once", "maria", other.now)
    other.steering.step(other.now)
    assert changing(other).total() == 12


def test_who_was_well_for_too_short_counts_as_changing() -> None:
    fleet = FleetDouble(
        [3], msgspec.structs.replace(CALM, min_healthy=30, max_unavailable=Amount(count=1))
    )
    began = []
    while fleet.rollout.state != "done":
        fleet.tick()
        began += [fleet.now for event in fleet.events if event.what == "applying"]
        fleet.events.clear()
    gaps = [later - before for before, later in pairwise(began)]
    assert len(gaps) == 2
    assert all(gap >= 31 for gap in gaps)  # a second to get well, and thirty to stay so


def test_min_healthy_holds_over_waves_and_not_for_those_who_had_it() -> None:
    strategy = msgspec.structs.replace(CALM, min_healthy=100, max_unavailable=Amount(count=1))
    fleet = FleetDouble([1, 1], strategy)
    fleet.run(60)
    assert fleet.stages() == {"done": 1, "prepared": 1}
    fleet.run_until("done")
    had = FleetDouble([2], strategy)
    for node in had.nodes.values():
        node.has_it = True
    had.run(10)
    assert had.rollout.state == "done"


@settings(deadline=None, max_examples=40)
@given(
    count=st.integers(1, 30),
    sites=st.integers(1, 6),
    total=st.one_of(st.builds(Amount, count=st.integers(1, 8)), st.just(Amount(percent=20))),
    per=st.one_of(st.builds(Amount, count=st.integers(1, 3)), st.just(Amount(percent=50))),
    min_healthy=st.sampled_from([0.0, 7.0]),
    undo=st.booleans(),
)
def test_no_limit_is_ever_passed(
    count: int, sites: int, total: Amount, per: Amount, min_healthy: float, undo: bool
) -> None:
    fleet = sited(
        count,
        sites,
        max_unavailable=total,
        max_unavailable_per=(PerGroup("site", per),),
        min_healthy=min_healthy,
    )
    sizes = Counter(node.groups.get("site", "") for node in fleet.rollout.nodes)

    def holds() -> None:
        now = changing(fleet)
        assert now.total() <= max(1, total.of(count, least=1))
        assert all(used <= max(1, per.of(sizes[site], least=1)) for site, used in now.items())

    for _ in range(5000):
        if fleet.rollout.state == "done":
            break
        fleet.tick()
        holds()
    assert fleet.stages() == {"done": count}
    if undo:
        fleet.steering.wish("undo", "maria", fleet.now)
        while fleet.rollout.state != "undone":
            fleet.tick()
            holds()
        assert fleet.stages() == {"reverted": count}
