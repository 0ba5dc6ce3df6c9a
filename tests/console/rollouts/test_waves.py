"""Which node is in which wave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.rollouts.strategy import Wave
from console.rollouts.waves import freeze


def nodes(count: int) -> list[NodeEntry]:
    return [
        NodeEntry(name=f"n{number}", address="unix:///x", labels={"site": f"s{number % 3}"})
        for number in range(count)
    ]


def sizes(count: int, *waves: Wave) -> list[int]:
    return [len(wave) for wave in freeze(nodes(count), waves)]


def test_one_then_a_tenth_then_the_rest() -> None:
    assert sizes(300, Wave(nodes=1), Wave(percent=10)) == [1, 30, 269]
    assert sizes(5, Wave(nodes=1), Wave(percent=10)) == [1, 1, 3]
    assert sizes(1, Wave(nodes=1), Wave(percent=10)) == [1]
    assert sizes(4) == [4]
    assert sizes(10, Wave(percent=50), Wave(percent=50)) == [5, 5]


def test_a_selector_takes_what_is_left_of_it() -> None:
    found = freeze(nodes(6), [Wave(nodes=1), Wave(selector="site=s0"), Wave(selector="site=s2")])
    assert found == [["n0"], ["n3"], ["n2", "n5"], ["n1", "n4"]]


@pytest.mark.parametrize(
    ("waves", "words"),
    [
        ([Wave(nodes=7)], "wave 1: it wants 7 nodes, and 6 are left"),
        ([Wave(nodes=3), Wave(nodes=4)], "wave 2: it wants 4 nodes, and 3 are left"),
        ([Wave(selector="site=lab")], "wave 1: no node that is left has site=lab"),
    ],
)
def test_waves_that_do_not_fit(waves: list[Wave], words: str) -> None:
    with pytest.raises(ProblemError, match=words) as raised:
        freeze(nodes(6), waves)
    assert raised.value.code == "rollout.waves"


@given(
    st.integers(1, 400),
    st.lists(st.floats(0.1, 100).map(lambda share: Wave(percent=share)), max_size=5),
)
def test_each_node_is_in_one_wave(count: int, waves: list[Wave]) -> None:
    found = freeze(nodes(count), waves)
    assert [name for wave in found for name in wave] == [node.name for node in nodes(count)]
    assert all(found)
