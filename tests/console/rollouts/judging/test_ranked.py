"""The whole distribution: planned looks, and what they may spend together."""

from __future__ import annotations

from random import Random

import msgspec

from agent.protocol.arms import Arms
from console.rollouts.judging.analysis import Analysis, Condition
from console.rollouts.judging.judge import Judgement
from console.rollouts.judging.ranks import mann_whitney
from tests.console.rollouts.judging.arms_made import arm, arms, drawn, even, figures, judged, of

WHOLE = Condition(of="distribution", worse_by=0.15, least=200)
KEY = "web/distribution.stable"


def told(counts: list[int], factor: float, seed: int = 1, window: str = "w") -> list[Arms]:
    random = Random(seed)
    ours, theirs = drawn(random, max(counts), factor=factor), drawn(random, max(counts))
    return [of(figures(ours[:n]), figures(theirs[:n]), window=window) for n in counts]


def run(given: list[Arms], condition: Condition = WHOLE) -> list[Judgement]:
    return judged(Analysis(conditions=(condition,)), given)


def taken(found: list[Judgement]) -> list[int]:
    return [each.looks.conditions[KEY].ranks.taken for each in found]


def test_looks_are_taken_at_100_200_400_however_often_one_asks() -> None:
    found = run(told([*range(20, 500, 20)], 1.0))
    assert taken(found) == [0] * 4 + [1] * 5 + [2] * 10 + [3] * 5


def test_counts_that_were_jumped_over_are_one_look() -> None:
    found = run(told([50, 900, 950, 1600], 1.0))
    assert taken(found) == [0, 1, 1, 2]


def test_the_arm_with_fewer_answers_plans_the_looks() -> None:
    found = run([of(even(90), even(9000)), of(even(100), even(9000))])
    assert taken(found) == [0, 1]


def test_a_slower_candidate_fails_and_the_same_one_passes() -> None:
    assert run(told([100, 200, 400], 1.25))[-1].outcome == "fail"
    found = run(told([100, 200, 400, 800], 1.0))
    assert [each.outcome for each in found] == ["wait", "pass", "pass", "pass"]
    assert found[0].findings[0].needs == 100


def test_a_sure_difference_that_is_small_passes() -> None:
    found = run(told([20_000], 1.06))[-1]
    ranks = found.looks.conditions[KEY].ranks
    assert ranks.z is not None
    assert ranks.z > 8
    assert found.outcome == "pass"
    strict = msgspec.structs.replace(WHOLE, worse_by=0.05)
    assert run(told([20_000], 1.06), strict)[-1].outcome == "fail"


def test_a_later_look_may_spend_less() -> None:
    """Ranks that 1 of 2,000 alike pairs have fail at the first look, and not at the tenth."""
    ours, theirs = figures([0.05] * 38 + [0.06] * 62), figures([0.05] * 62 + [0.06] * 38)
    ranks = mann_whitney([(ours.latency, theirs.latency)])
    assert ranks is not None
    assert 0.01 / (10 * 11) < ranks.chance < 0.01 / 2
    doubtful = of(ours, theirs, window="w")
    assert run([doubtful])[-1].outcome == "fail"
    before = [of(even(100), even(100), window=f"w{number}") for number in range(9)]
    found = run([*before, doubtful])
    assert taken(found)[-1] == 10
    assert found[-1].outcome == "wait"  # 100 answers are too few to pass


def test_all_looks_together_spend_no_more_than_all() -> None:
    assert 0.999 < sum(1 / (look * (look + 1)) for look in range(1, 10**5)) < 1


def test_another_window_is_another_comparison_and_its_looks_go_on_counting() -> None:
    found = run([*told([100, 200], 1.0, window="w1"), *told([100, 200], 1.0, 2, window="w2")])
    assert taken(found) == [1, 2, 3, 4]
    assert found[2].findings[0].samples == 200  # what was seen before stays seen


def test_at_100_percent_what_was_holds() -> None:
    found = run([*told([100, 200], 1.0), of(even(500), even(0), window="w2", weight=100)])
    assert found[-1].outcome == "pass"


def test_answers_while_it_warms_up_are_no_part() -> None:
    slow = [3.0] * 80
    random = Random(4)
    ours, theirs = drawn(random, 800), drawn(random, 800)
    given = [of(figures(slow), figures(theirs[:80]))]
    given += [of(figures(slow + ours[:n]), figures(theirs[: 80 + n])) for n in (100, 200, 400)]
    warm = msgspec.structs.replace(WHOLE, initial_delay=7)
    found = run(given, warm)
    assert taken(found) == [0, 1, 2, 3]
    assert found[-1].outcome == "pass"
    assert found[-1].findings[0].samples == 400
    assert run(given)[-1].outcome == "fail"


def test_replays_are_ranked_for_themselves() -> None:
    quick, slow = even(150, seconds=0.01), even(150, seconds=0.5)
    few = even(15, seconds=0.01)
    found = run([arms(arm(few, replayed=slow), arm(quick, replayed=slow))])
    assert found[-1].looks.conditions[KEY].ranks.z == 0.0


def test_all_answers_in_the_same_time_are_no_difference() -> None:
    found = run([of(even(300), even(300))])[-1]
    assert found.outcome == "pass"
    assert found.looks.conditions[KEY].ranks.delta == 0.0
