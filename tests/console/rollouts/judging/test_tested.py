"""Error rates and quantiles: what is failed, what is let through, and what cannot be told."""

from __future__ import annotations

from math import exp
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.arms import Arm, Arms, RequestFigures
from console.rollouts.judging.analysis import Analysis, Condition
from console.rollouts.judging.judge import Judgement, judge
from console.rollouts.judging.looks import NodeLooks
from tests.console.rollouts.judging.arms_made import arm, arms, drawn, even, figures, judged, of

BOUND = Condition(of="error_rate", at_most=0.01, least=100)
ERRORS = Condition(of="error_rate", worse_by=0.25, above=0.001, least=200)
P99 = Condition(of="latency", worse_by=0.1, least=1000)


def by(*conditions: Condition) -> Analysis:
    return Analysis(conditions=conditions)


def last(condition: Condition, *told: Arms) -> Judgement:
    return judged(by(condition), told)[-1]


# errors against a bound


def test_one_chance_error_of_twenty_fails_nobody() -> None:
    found = last(BOUND, of(even(20, 1)))
    assert found.outcome == "wait"
    assert found.findings[0].needs == 80


def test_a_candidate_that_fails_5_percent_of_100_a_second_is_failed_within_seconds() -> None:
    random, errors, told = Random(5), 0, []
    for second in range(1, 30):
        errors += sum(random.random() < 0.05 for _ in range(100))
        told.append(of(even(100 * second, errors)))
    found = judged(by(BOUND), told, every=1)
    assert found[-1].outcome == "fail"
    assert len(found) <= 8


def test_six_of_its_first_six_are_enough_and_one_burst_is_not() -> None:
    """Three requests that fail in one moment may have one cause; in the next look it is sure."""
    found = judged(by(BOUND), [of(even(3, 3)), of(even(6, 6))])
    assert [each.outcome for each in found] == ["wait", "fail"]
    burst = judged(by(BOUND), [of(even(100 * n, 8 if n > 3 else 0)) for n in range(1, 20)])
    assert [each.outcome for each in burst[2:5]] == ["pass", "wait", "wait"]
    assert burst[-1].outcome == "pass"


def test_under_the_bound_it_passes_once_there_are_enough() -> None:
    assert [each.outcome for each in judged(by(BOUND), [of(even(99)), of(even(100))])] == [
        "wait",
        "pass",
    ]


def test_over_the_bound_by_what_may_be_chance_it_waits_and_then_asks_a_person() -> None:
    told = [of(even(200, 3))] * 200
    outcomes = [each.outcome for each in judged(by(BOUND), told)]
    assert set(outcomes[:120]) == {"wait"}  # ten minutes of looks every 5 s
    assert outcomes[-1] == "inconclusive"


def test_where_none_may_fail_the_first_error_is_proof() -> None:
    none = Condition(of="error_rate", at_most=0.0, least=10)
    assert last(none, of(even(1000, 0))).outcome == "pass"
    assert last(none, of(even(1000, 0)), of(even(2000, 1))).outcome == "fail"


# errors against stable


def test_errors_that_both_arms_have_are_not_the_candidates() -> None:
    told = [of(even(100 * n, 5 * n), even(900 * n, 45 * n)) for n in range(1, 20)]
    assert last(ERRORS, *told).outcome == "pass"


def test_errors_that_only_the_candidate_has_fail_it() -> None:
    told = [of(even(100 * n, 5 * n), even(900 * n, 0)) for n in range(1, 20)]
    found = judged(by(ERRORS), told)
    assert found[-1].outcome == "fail"
    assert len(found) <= 3
    assert "surely worse" in found[-1].why


def test_surely_worse_but_by_no_more_than_may_be() -> None:
    told = [of(even(100_000 * n, 2_400 * n), even(100_000 * n, 2_000 * n)) for n in range(1, 6)]
    found = last(ERRORS, *told)
    assert found.outcome == "pass"
    assert "if worse, by no more than 25 %" in found.findings[0].words
    told = [of(even(100_000 * n, 2_700 * n), even(100_000 * n, 2_000 * n)) for n in range(1, 6)]
    assert last(ERRORS, *told).outcome == "fail"


def test_an_error_rate_that_nobody_minds_is_no_regression() -> None:
    told = [of(even(100_000 * n, 90 * n), even(100_000 * n, 9 * n)) for n in range(1, 6)]
    assert last(ERRORS, *told).outcome == "pass"
    mind = msgspec.structs.replace(ERRORS, above=0.0)
    assert last(mind, *told).outcome == "fail"


def test_another_weight_is_no_regression() -> None:
    """By day both arms fail more, and by day the candidate has most requests."""
    night = [of(even(100 * n, n), even(900 * n, 9 * n), window="n", weight=10) for n in (1, 2, 3)]
    day = [of(even(900 * n, 90 * n), even(100 * n, 10 * n), window="d", weight=90) for n in (1, 2)]
    assert last(ERRORS, *night, *day).outcome == "pass"


def test_what_was_seen_at_another_weight_stays_seen() -> None:
    told = [of(even(60, 2), even(540, 0), window="w1", weight=10)]
    told += [of(even(40, 2), even(40, 0), window="w2", weight=50)]
    found = judged(by(ERRORS), told)
    assert [each.outcome for each in found] == ["wait", "wait"]
    finding = found[-1].findings[0]
    assert finding.samples == 100
    evidence = [each.looks.conditions["web/error_rate.stable"].evidence for each in found]
    assert evidence[1].log > evidence[0].log > 0


def test_answers_of_one_arm_alone_wait_for_the_others() -> None:
    """Stable gets one request in a long while, and looks are many."""
    told = [of(even(9 * n, 3 * n), even(n // 4, 0), weight=90) for n in range(1, 80)]
    found = judged(by(ERRORS), told)
    assert found[0].looks.conditions["web/error_rate.stable"].candidate == 0
    assert found[3].looks.conditions["web/error_rate.stable"].candidate == 36
    assert found[-1].outcome == "fail"


def test_at_100_percent_nothing_is_compared_and_what_was_holds() -> None:
    half = [of(even(300 * n), even(300 * n), window="w1") for n in (1, 2)]
    whole = [of(even(600 * n, 9 * n), even(0), window="w2", weight=100) for n in (1, 2)]
    found = last(ERRORS, *half, *whole)
    assert found.outcome == "pass"
    assert found.findings[0].samples == 600


# latency


def slower(count: int, factor: float, looks: int, seed: int, sigma: float = 0.3) -> list[Arms]:
    random = Random(seed)
    ours: list[float] = []
    theirs: list[float] = []
    told = []
    for _ in range(looks):
        ours += drawn(random, count, sigma, factor)
        theirs += drawn(random, count, sigma)
        told.append(of(figures(ours), figures(theirs)))
    return told


def test_a_p99_that_is_a_fifth_higher_is_seen_within_2000_answers() -> None:
    seen = [judged(by(P99), slower(250, 1.2, 8, seed))[-1].outcome for seed in range(20)]
    assert seen.count("fail") >= 18


def test_the_same_latency_passes() -> None:
    found = judged(by(P99), slower(250, 1.0, 8, 1))
    assert [each.outcome for each in found] == ["wait"] * 3 + ["pass"] * 5


def test_a_p99_that_is_a_little_higher_passes_however_sure_that_is() -> None:
    found = last(P99, *slower(20_000, 1.05, 4, 2))
    assert found.outcome == "pass"
    assert "if worse, by no more than 10 %" in found.findings[0].words


def test_a_tail_that_grew_is_seen_though_the_median_is_lower() -> None:
    random = Random(3)
    theirs = drawn(random, 4000)
    ours = [each * (2.0 if random.random() < 0.05 else 0.9) for each in drawn(random, 4000)]
    told = [of(figures(ours[: 500 * n]), figures(theirs[: 500 * n])) for n in range(1, 9)]
    assert last(P99, *told).outcome == "fail"


def test_a_p99_over_a_bound() -> None:
    bound = Condition(of="latency", at_most=0.1, least=500)  # the p99 of these is 100.6 ms
    assert last(bound, *slower(500, 1.3, 4, 4)).outcome == "fail"
    assert last(bound, *slower(500, 0.8, 4, 4)).outcome == "pass"


def test_latencies_that_are_all_the_same() -> None:
    told = [of(even(1000 * n), even(1000 * n)) for n in (1, 2)]
    assert last(P99, *told).outcome == "pass"
    told = [of(even(1000 * n, seconds=0.07), even(1000 * n)) for n in range(1, 9)]
    found = judged(by(P99), told)
    assert [each.outcome for each in found[1:]] == ["wait"] * 2 + ["fail"]


def test_one_stall_is_no_proof_and_its_repetition_is() -> None:
    """A process stands still for a moment, and all answers that waited for it are slow."""
    random = Random(12)
    ours, theirs = drawn(random, 6000), drawn(random, 6000)
    once, often = [], []
    for n in range(1, 31):
        good = ours[: 200 * n]
        once.append(of(figures(good + [0.9] * 30 * (n > 9)), figures(theirs[: 200 * n])))
        often.append(of(figures(good + [0.9] * 30 * (n // 5)), figures(theirs[: 200 * n])))
    assert "fail" not in [each.outcome for each in judged(by(P99), once)]
    assert judged(by(P99), once)[9].outcome == "wait"
    assert judged(by(P99), often)[-1].outcome == "fail"


def test_warming_up_counts_for_nothing() -> None:
    """The first answers of a model take long; what came after is as good as stable's."""
    random = Random(7)
    cold = [2.0] * 90
    ours, theirs = drawn(random, 3000), drawn(random, 3000)
    warm = msgspec.structs.replace(P99, initial_delay=22)
    told = [of(figures(ours[:300]), figures(theirs[:300]))]
    told += [
        of(figures(cold[: 30 * n] + ours[: 300 * n]), figures(theirs[: 300 * n + 9]))
        for n in range(1, 11)
    ]
    found = judged(by(warm), told)
    assert [each.outcome for each in found[:4]] == ["wait"] * 4
    assert "it counts after the first 22s" in found[1].why
    assert found[-1].outcome == "pass"
    assert (found[-1].findings[0].candidate or 1) < 0.12  # what is shown is without them, too
    assert judged(by(P99), told)[-1].outcome == "fail"


# numbers that were worked out on paper


def test_errors_on_paper() -> None:
    """5 of the candidate's 100 fail, none of stable's 300: each was the candidate's with 1/4.

    With odds of k to 1 that is k / (1 + (k - 1) / 4), to the fifth: 2.2537, 4.2140, 10.4858, 32 and
    97.6563 for 1.25, 1.5, 2, 3 and 5; for 10 and more it is over 100, which is the most. Their mean
    is 55.826, and half of the weight is on later looks: 28.413.
    """
    found = judged(by(ERRORS), [of(even(100, 5), even(300), weight=25)])[-1]
    assert exp(found.looks.conditions["web/error_rate.stable"].evidence.log) == pytest.approx(
        28.413, abs=0.001
    )


def test_slow_answers_on_paper() -> None:
    """The first look tells that 50 ms are slow enough: 2 of stable's 200 took 60 ms, none longer.

    Of the next 100 of each arm 5 and 1 take over 50 ms: k^5 / ((k + 1) / 2)^6 for each of the odds
    is 1.5053, 1.9907, 2.8093, 3.7969, 4.2867, 3.6126, 1.7523 and 0.6032. In the first look, both
    arms together had 4 of 400 that were slow, 2 of the candidate's: k^2 / ((k + 1) / 2)^4.
    """
    first = [0.05] * 198 + [0.06] * 2
    ours, theirs = [0.05] * 95 + [0.07] * 5, [0.05] * 99 + [0.06]
    told = [of(figures(first), figures(first)), of(figures(first + ours), figures(first + theirs))]
    found = judged(by(P99), told)[-1].looks.conditions["web/p99.stable"]
    expected = 1 / 3
    for odds in (1.25, 1.5, 2, 3, 5, 10, 30, 100):
        before = odds**2 / ((odds + 1) / 2) ** 4
        ratio = odds**5 / ((odds + 1) / 2) ** 6
        expected += (before / 2 + 1 / 6) * ratio / 8
    assert exp(found.evidence.log) == pytest.approx(expected)
    assert found.recent.events == 5
    assert (found.candidate, found.stable) == (300, 300)


# replays


def with_replays(own: RequestFigures | None, replayed: RequestFigures, **more: str) -> Arm:
    return arm(own, replayed=replayed, unknown=more)


def test_replays_make_up_for_too_little_traffic() -> None:
    told = [
        arms(with_replays(even(2 * n), even(300 * n)), with_replays(even(9 * n), even(300 * n)))
        for n in (1, 2)
    ]
    found = last(ERRORS, *told)
    assert found.outcome == "pass"
    assert found.findings[0].samples == 604


def test_replays_and_requests_are_not_mixed() -> None:
    """Replays are slower, and most of the candidate's answers: that is no regression."""
    told = []
    for n in range(1, 10):
        ours = with_replays(even(30 * n), even(300 * n, seconds=0.2))
        theirs = with_replays(even(3000 * n), even(300 * n, seconds=0.2))
        told.append(arms(ours, theirs))
    assert last(P99, *told).outcome == "pass"


def test_a_bound_is_for_replays_too() -> None:
    """A few requests of its own that went well do not speak for 300 that did not."""
    found = last(BOUND, arms(with_replays(even(20), even(300, 6)), arm()))
    assert found.outcome == "wait"
    assert found.findings[0].candidate == pytest.approx(100 * 6 / 320)
    slow = Condition(of="latency", at_most=0.1, least=100)
    found = last(slow, arms(with_replays(even(20), even(300, seconds=0.2)), arm()))
    assert found.outcome != "pass"


def test_replays_that_stop_and_come_back_are_counted_once() -> None:
    ours, theirs = with_replays(even(10), even(300)), with_replays(even(10), even(300))
    gone = of(even(10), even(10))
    found = last(ERRORS, arms(ours, theirs), gone, arms(ours, theirs))
    assert found.findings[0].samples == 310


# what cannot be told


def test_tcp_is_inconclusive_and_never_passes() -> None:
    blind = Arm(container="c", unknown={"requests": "the proxy forwards TCP and reads no answers"})
    for condition in (BOUND, ERRORS, P99):
        found = judged(by(condition), [arms(blind, blind)] * 10)
        assert found[0].outcome == "wait"  # it may be about to be
        assert found[-1].outcome == "inconclusive"
        assert "forwards TCP" in found[-1].why


def test_errors_in_grpc_trailers_are_not_seen_and_latency_is() -> None:
    hidden = {"requests.errors": "gRPC has them in its trailers"}
    told = [arms(arm(even(2000 * n), unknown=hidden), arm(even(2000 * n))) for n in range(1, 8)]
    found = judged(by(ERRORS, P99), told)[-1]
    assert [each.outcome for each in found.findings] == ["inconclusive", "pass"]
    assert found.outcome == "inconclusive"
    assert "trailers" in found.why


def test_without_a_stable_arm_nothing_can_be_compared() -> None:
    told = [arms(arm(even(2000 * n)), Arm()) for n in range(1, 8)]
    found = last(ERRORS, *told)
    assert found.outcome == "inconclusive"
    assert "nothing ran here before" in found.why
    assert last(BOUND, *told).outcome == "pass"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (RequestFigures(requests=10, errors=11), "11 errors"),
        (RequestFigures(requests=10, errors=-1), "fewer than before"),
        (RequestFigures(requests=10, latency={5: 11}), "11 answers"),
        (RequestFigures(requests=10, latency={5: -1}), "fewer than before"),
        (RequestFigures(requests=10, latency={100_000: 1}), "took longer than anybody waits"),
        (RequestFigures(requests=10, latency={-1: 1}), "took longer than anybody waits"),
    ],
)
def test_figures_that_cannot_be_are_an_error_in_the_end(wrong: RequestFigures, words: str) -> None:
    found = judged(by(ERRORS), [of(wrong, even(10))] * 7)
    assert [each.outcome for each in found] == ["wait"] * 5 + ["error"] * 2
    assert words in found[-1].why


def test_a_counter_that_goes_back_within_a_window_is_no_figure() -> None:
    found = last(ERRORS, of(even(500, 9), even(500)), of(even(400, 9), even(500)))
    assert found.outcome == "wait"
    assert "has fewer than before" in found.why or "went back" in found.why
    again = judge(by(ERRORS), of(even(600, 9), even(600)), found.looks, soaked=20)
    assert again.looks.conditions["web/error_rate.stable"].broken == 0


# looks


def test_asked_again_with_nothing_new_it_says_the_same() -> None:
    told = of(even(500, 4), even(500, 1))
    analysis = by(ERRORS, BOUND, P99)
    one = judge(analysis, told, NodeLooks(), soaked=5)
    other = judge(analysis, told, one.looks, soaked=5)
    assert other.findings == one.findings
    assert other.looks.conditions["web/error_rate"].evidence == (
        one.looks.conditions["web/error_rate"].evidence
    )


def test_what_failed_stays_failed() -> None:
    found = last(BOUND, of(even(3, 3)), of(even(6, 6)))
    later = judge(by(BOUND), of(even(10_000, 6)), found.looks, soaked=60)
    assert later.outcome == found.outcome == "fail"
    assert "6 of its last 6 failed" in later.why


COUNTS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60)), min_size=1, max_size=8)


@given(COUNTS, st.data())
def test_more_errors_never_turn_a_fail_into_a_pass(
    added: list[tuple[int, int]], data: st.DataObject
) -> None:
    more = [
        (errors + data.draw(st.integers(0, 5)), good) for errors, good in added
    ]  # as many good ones
    one, other = (_fails_at(BOUND, each) for each in (added, more))
    assert one is None or (other is not None and other <= one)


@given(COUNTS, st.integers(1, 40))
def test_more_errors_at_this_look_never_turn_a_fail_into_a_pass(
    added: list[tuple[int, int]], more: int
) -> None:
    one = _fails_at(ERRORS, added)
    errors, good = added[-1]
    other = _fails_at(ERRORS, [*added[:-1], (errors + more, max(0, good - more))])
    assert one is None or (other is not None and other <= one)


def _fails_at(condition: Condition, added: list[tuple[int, int]]) -> int | None:
    told, failed, good = [], 0, 0
    for errors, well in added:
        failed, good = failed + errors, good + well
        told.append(of(even(failed + good, failed), even(failed + good, 0)))
    found = judged(by(condition), told)
    return len(found) if found[-1].outcome == "fail" else None
