"""Mann-Whitney against all pairs, and its variance against all ways to share out the samples."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.rollouts.judging.ranks import mann_whitney

values = st.lists(st.integers(0, 12), min_size=1, max_size=25)


def surplus(candidate: list[int], stable: list[int]) -> int:
    """Pairs in which the candidate is higher, less those in which it is lower."""
    return sum((a > b) - (a < b) for a in candidate for b in stable)


@given(values, values)
def test_the_effect_is_that_of_all_pairs(candidate: list[int], stable: list[int]) -> None:
    found = mann_whitney([(Counter(candidate), Counter(stable))])
    if len({*candidate, *stable}) == 1:
        assert found is None
        return
    assert found is not None
    assert found.delta == pytest.approx(surplus(candidate, stable) / len(candidate) / len(stable))


@pytest.mark.parametrize(
    ("both", "ours"),
    [
        ([1, 2, 3, 4, 5, 6, 7], 3),
        ([1, 2, 2, 3, 5, 5, 5, 8], 3),
        ([1, 1, 1, 1, 9], 2),
        ([4, 4, 4, 6, 6, 6, 6, 6, 7], 4),
    ],
)
def test_its_variance_is_that_of_all_ways_to_share_them_out(both: list[int], ours: int) -> None:
    found = []
    for chosen in itertools.combinations(range(len(both)), ours):
        candidate = [both[index] for index in chosen]
        stable = [each for index, each in enumerate(both) if index not in chosen]
        found.append((surplus(candidate, stable), Counter(candidate), Counter(stable)))
    assert sum(each for each, _, _ in found) == 0
    deviation = math.sqrt(sum(each**2 for each, _, _ in found) / len(found))
    for each, candidate_counts, stable_counts in found:
        ranks = mann_whitney([(candidate_counts, stable_counts)])
        assert ranks is not None
        assert ranks.z == pytest.approx(each / deviation)


@given(values, values)
def test_changing_places_changes_the_sign(candidate: list[int], stable: list[int]) -> None:
    one = mann_whitney([(Counter(candidate), Counter(stable))])
    other = mann_whitney([(Counter(stable), Counter(candidate))])
    if one is None or other is None:
        assert one is other is None
        return
    assert one.z == pytest.approx(-other.z)
    assert one.delta == pytest.approx(-other.delta)
    assert one.chance + other.chance == pytest.approx(1)


@given(values, values, st.integers(1, 50))
def test_only_the_order_counts(candidate: list[int], stable: list[int], far: int) -> None:
    moved = [Counter(each * each + far for each in arm) for arm in (candidate, stable)]
    assert mann_whitney([(Counter(candidate), Counter(stable))]) == mann_whitney(
        [(moved[0], moved[1])]
    )


def test_two_sorts_are_ranked_each_for_itself() -> None:
    # All of the second sort are slower; the arms are alike within each, and so they are together,
    # though the candidate has most of the slow sort.
    quick, slow = [1, 2, 3, 4], [101, 102, 103, 104]
    pairs = [(Counter(quick), Counter(quick * 10)), (Counter(slow * 10), Counter(slow))]
    found = mann_whitney(pairs)
    assert found is not None
    assert found.delta == found.z == 0


def test_the_chance_is_the_normal_distributions() -> None:
    # 1.959964 standard deviations have 2.5 % above them.
    found = mann_whitney([(Counter({2: 1}), Counter({1: 1}))])
    assert found is not None
    assert found._replace(z=1.959964).chance == pytest.approx(0.025, abs=1e-7)


@pytest.mark.parametrize("pair", [({}, {1: 2}), ({1: 2}, {}), ({3: 5}, {3: 9})])
def test_nothing_to_compare(pair: tuple[dict[int, int], dict[int, int]]) -> None:
    assert mann_whitney([pair]) is None
