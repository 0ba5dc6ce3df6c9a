"""The evidence against sums over all that can happen, and against its own definition."""

from __future__ import annotations

import itertools
import math
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.rollouts.judging.evidence import ODDS, Evidence, Trials


def binomial(events: int, of: int, chance: float) -> float:
    return comb(of, events) * chance**events * (1 - chance) ** (of - events)


def hypergeometric(events: int, of: int, candidate: int, stable: int) -> float:
    """That so many of all events are the candidate's, if both arms are alike."""
    return comb(candidate, events) * comb(stable, of - events) / comb(candidate + stable, of)


def by_definition(told: list[Trials]) -> float:
    """A mean over odds and beginnings of likelihood ratios, without any recursion."""
    total = 0.0
    for begins in range(1, len(told) + 1):
        weight = 1 / (begins * (begins + 1))
        for odds in ODDS:
            ratio = 1.0
            for events, of, expected in told[begins - 1 :]:
                worse = odds * expected / (odds * expected + 1 - expected)
                ratio *= (worse / expected) ** events
                ratio *= ((1 - worse) / (1 - expected)) ** (of - events)
            total += weight * ratio / len(ODDS)
    return total + 1 / (len(told) + 1)


def gathered(told: list[Trials]) -> Evidence:
    evidence = Evidence()
    for each in told:
        evidence = evidence.after([each])
    return evidence


trials = st.integers(1, 30).flatmap(
    lambda of: st.builds(Trials, st.integers(0, of), st.just(of), st.floats(0.001, 0.9))
)


@given(st.lists(trials, max_size=8))
def test_it_is_the_mixture_that_it_says(told: list[Trials]) -> None:
    assert math.isclose(gathered(told).log, math.log(by_definition(told)), abs_tol=1e-9)


@pytest.mark.parametrize("chance", [0.02, 0.2, 0.7])
def test_its_mean_is_1_if_the_candidate_is_as_expected_and_less_if_better(chance: float) -> None:
    for truth, want in ((chance, 1.0), (chance / 2, None)):
        mean = 0.0
        for outcome in itertools.product(range(4), repeat=3):
            told = [Trials(events, 3, chance) for events in outcome]
            likely = math.prod(binomial(events, 3, truth) for events in outcome)
            mean += likely * math.exp(gathered(told).log)
        assert mean == pytest.approx(want) if want else mean < 1


@pytest.mark.parametrize(("candidate", "stable"), [(5, 5), (2, 18), (12, 3)])
def test_events_drawn_from_both_arms_have_a_mean_of_1_at_most(candidate: int, stable: int) -> None:
    """Hoeffding 1963, theorem 4, for each number of events there may be."""
    share = candidate / (candidate + stable)
    for of in range(1, candidate + stable + 1):
        mean = sum(
            hypergeometric(events, of, candidate, stable)
            * math.exp(Evidence().after([Trials(events, of, share)]).log)
            for events in range(max(0, of - stable), min(of, candidate) + 1)
        )
        assert mean <= 1 + 1e-12


@pytest.mark.parametrize("allowed", [0.5, 0.2, 0.05])
def test_all_looks_together_keep_what_is_allowed(allowed: float) -> None:
    """Every path of 8 looks at 2 requests, of which a third may fail: the chance of any alarm."""
    alarmed = 0.0
    paths = [(1.0, Evidence())]
    for _ in range(8):
        onward = []
        for likely, evidence in paths:
            for events in range(3):
                after = evidence.after([Trials(events, 2, 1 / 3)])
                here = likely * binomial(events, 2, 1 / 3)
                if after.proves(allowed):
                    alarmed += here
                else:
                    onward.append((here, after))
        paths = onward
    assert alarmed <= allowed
    assert allowed < 0.5 or alarmed > 0  # it does alarm


@given(st.lists(trials, min_size=1, max_size=6), st.data())
def test_one_event_more_is_never_less_evidence(told: list[Trials], data: st.DataObject) -> None:
    which = data.draw(st.integers(0, len(told) - 1))
    more = list(told)
    more[which] = told[which]._replace(events=min(told[which].of, told[which].events + 1))
    assert gathered(more).log >= gathered(told).log - 1e-12


@given(trials, trials)
def test_the_order_of_sorts_does_not_matter(one: Trials, other: Trials) -> None:
    first, second = Evidence().after([one, other]), Evidence().after([other, one])
    assert math.isclose(first.log, second.log, abs_tol=1e-9)


@pytest.mark.parametrize("most", [1.5, 4.0, 100.0])
def test_what_one_look_may_add_is_limited_and_the_mean_stays_1_at_most(most: float) -> None:
    before = Evidence().after([Trials(1, 10, 0.1)])
    mean = 0.0
    for events in range(13):
        after = before.after([Trials(events, 12, 0.1)], most=most)
        mean += binomial(events, 12, 0.1) * math.exp(after.log)
        assert after.log <= before.log + math.log(most) + 1e-12
    assert mean <= math.exp(before.log) + 1e-12
    assert before.after([Trials(12, 12, 0.1)], most=most).log > before.log


def test_a_look_at_nothing_is_none() -> None:
    evidence = Evidence().after([Trials(3, 10, 0.1)])
    assert evidence.after([Trials(0, 0, 0.1)]) == evidence.after([]) == evidence


def test_numbers_worked_out_by_hand() -> None:
    # One look, 3 of 3 fail where 1 of 100 may. With odds of 5 to 1: 5 / (1 + 4 * 0.01) = 4.8077,
    # cubed 111.12; the others alike. Half of the weight is on "not yet", the mean is over eight.
    ratios = [1.243**3, 1.49254**3, 1.98020**3, 2.94118**3, 4.80769**3]
    ratios += [9.17431**3, 23.25581**3, 50.25126**3]
    evidence = Evidence().after([Trials(3, 3, 0.01)])
    assert math.exp(evidence.log) == pytest.approx(0.5 + 0.5 * sum(ratios) / 8, rel=1e-3)
    assert evidence.proves(0.001)
    assert not Evidence().after([Trials(1, 20, 0.01)]).proves(0.01)


def test_a_long_good_time_does_not_hide_a_bad_one() -> None:
    """720 looks at 500 requests of which 1 in 200 fails, 1 in 100 may; then 1 in 20 fails."""
    evidence = gathered([Trials(2 + look % 2, 500, 0.01) for look in range(720)])
    assert evidence.log < 0
    after = evidence.after([Trials(25, 500, 0.01)]).after([Trials(25, 500, 0.01)])
    assert after.proves(0.01 / 3)


def test_millions_of_requests_are_no_overflow() -> None:
    evidence = Evidence().after([Trials(0, 10**9, 0.01)]).after([Trials(10**9, 10**9, 0.01)])
    assert math.isfinite(evidence.log)
    assert evidence.proves(1e-300)
