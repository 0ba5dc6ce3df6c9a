"""What the analysis makes of all conditions together."""

from __future__ import annotations

from math import log
from random import Random

import msgspec
import pytest

from agent.protocol.arms import Arm, ArmGpu, Arms, GpuProbed, RequestFigures, WorkloadArms
from agent.protocol.decoding import from_json
from console.rollouts.judging.analysis import CAREFUL, Analysis, Condition, NoData
from console.rollouts.judging.judge import Judgement, Outcome, judge
from console.rollouts.judging.looks import HISTORY_KEPT, NodeLooks, Point, with_point
from tests.console.rollouts.judging.arms_made import arm, arms, drawn, even, figures, judged, of

ERRORS = Condition(of="error_rate", at_most=0.01, least=100)
RESTARTS = Condition(of="restarts", at_most=0)
NAMES: dict[Outcome, Condition] = {
    "pass": RESTARTS,
    "fail": Condition(of="error_rate", at_most=0.01, workload="web"),
    "inconclusive": Condition(of="gpu_memory", at_most=1),
    "error": Condition(of="latency", at_most=0.1),
    "wait": Condition(of="error_rate", worse_by=0.25, least=10**6),
}


def whole(looks: int = 1) -> Arms:
    """Errors over a bound, no GPU figures, one restart less than too many."""
    requests = even(100 * looks, 50 * looks)
    return arms(arm(requests, restarts=0, gpus=None), arm(requests))


@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        (["pass"], "pass"),
        (["pass", "wait"], "wait"),
        (["wait", "inconclusive", "pass"], "inconclusive"),
        (["pass", "wait", "inconclusive", "fail"], "fail"),
    ],
)
def test_failure_wins_over_all_and_success_over_nothing(
    conditions: list[Outcome], outcome: Outcome
) -> None:
    analysis = Analysis(conditions=tuple(NAMES[each] for each in conditions))
    found = judged(analysis, [whole(), whole(2), whole(3)], every=20)[-1]
    assert found.outcome == outcome
    assert [each.outcome for each in found.findings] == conditions


def test_a_broken_measurement_stands_before_one_that_is_not_there() -> None:
    conditions = (NAMES["inconclusive"], Condition(of="error_rate", at_most=0.5))
    broken = arms(arm(even(10, 3), gpus=None), arm(even(10)))
    broken.workloads[0].candidate.requests.errors = 20  # type: ignore[union-attr]
    assert judged(Analysis(conditions=conditions), [broken] * 10)[-1].outcome == "error"


def test_nothing_asked_for_is_nothing_against_it() -> None:
    assert judge(Analysis(conditions=()), whole(), NodeLooks(), soaked=0).outcome == "pass"


# no data


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [("wait", "wait"), ("pass", "pass"), ("pause", "inconclusive"), ("fail", "fail")],
)
@pytest.mark.parametrize("own", [False, True])
def test_too_little_data_is_what_was_said_after_a_while(
    policy: NoData, outcome: Outcome, own: bool
) -> None:
    condition = msgspec.structs.replace(ERRORS, no_data=policy if own else None)
    other: NoData = "pause" if own else policy
    analysis = Analysis(conditions=(condition,), patience=60, no_data=other)
    outcomes = [each.outcome for each in judged(analysis, [of(even(3))] * 14)]
    assert outcomes[:12] == ["wait"] * 12
    assert outcomes[-1] == outcome


def test_three_requests_a_minute() -> None:
    """A candidate that is fine and gets little: it says how long it takes, and then asks."""
    told = [of(even(3 * n), even(3 * n)) for n in range(1, 16)]
    found = judged(Analysis(conditions=CAREFUL[:2]), told, every=60)
    assert [each.outcome for each in found[:10]] == ["wait"] * 10
    assert "errors 0 %, stable 0 %, of 12 and 12 requests; 188 more are needed, about" in (
        found[3].why
    )
    assert found[-1].outcome == "inconclusive"
    assert "too little after" in found[-1].why


def test_data_that_comes_late_is_taken() -> None:
    analysis = Analysis(conditions=(ERRORS,), patience=10)
    found = judged(analysis, [of(even(3))] * 5 + [of(even(500))])
    assert [found[-2].outcome, found[-1].outcome] == ["inconclusive", "pass"]


def test_no_workload_is_measured() -> None:
    told = [Arms(deployment="d", unknown="nothing is watched yet")] * 200
    found = judged(Analysis(), told)
    assert found[0].outcome == "wait"
    assert "nothing is watched yet" in found[0].why
    assert found[-1].outcome == "inconclusive"
    after = judge(Analysis(conditions=(RESTARTS,)), whole(), found[-1].looks, soaked=2000)
    assert after.outcome == "pass"
    assert list(after.looks.conditions) == ["web/restarts"]


# dry run, false alarms


def test_a_dry_run_decides_nothing_and_takes_no_share_of_the_false_alarms() -> None:
    dry = msgspec.structs.replace(NAMES["fail"], dry_run=True)
    found = judged(Analysis(conditions=(dry, RESTARTS)), [whole(), whole(2)])[-1]
    assert found.outcome == "pass"
    assert [each.outcome for each in found.findings] == ["fail", "pass"]
    assert found.why == "web: restarts 0, 0 may be"


def test_tests_share_the_false_alarms() -> None:
    """Evidence of 487 to 1: enough for two tests at 1 %, not for eight."""
    told = [of(even(20 * n, 2 * n)) for n in (1, 2, 3)]
    two = (ERRORS, Condition(of="latency", at_most=10.0))
    alone = judged(Analysis(conditions=two), told)[-1]
    assert alone.looks.conditions["web/error_rate"].evidence.log == pytest.approx(log(487.1), 1e-4)
    assert alone.outcome == "fail"
    more = tuple(Condition(of="latency", quantile=0.9 + k / 100, at_most=10.0) for k in range(7))
    assert judged(Analysis(conditions=(ERRORS, *more)), told)[-1].outcome == "wait"
    dry = tuple(msgspec.structs.replace(each, dry_run=True) for each in more)
    assert judged(Analysis(conditions=(ERRORS, *dry)), told)[-1].outcome == "fail"


def test_each_workload_is_judged_by_its_own() -> None:
    told = [
        Arms(
            deployment="d",
            workloads=[
                WorkloadArms(
                    name=name,
                    window="w",
                    seconds=1,
                    stable=arm(even(500 * looks)),
                    candidate=arm(even(500 * looks, errors * looks), restarts=0),
                )
                for name, errors in (("detector", 0), ("web", 100))
            ],
        )
        for looks in (1, 2)
    ]
    found = judged(Analysis(conditions=(ERRORS, RESTARTS)), told)[-1]
    assert [each.key for each in found.findings] == [
        *("detector/error_rate", "detector/restarts"),
        *("web/error_rate", "web/restarts"),
    ]
    assert found.outcome == "fail"
    assert found.why.startswith("web: errors 20 % of 1,000 requests, 1 % may be; surely more")
    only = msgspec.structs.replace(ERRORS, workload="detector")
    assert judged(Analysis(conditions=(only,)), told)[-1].outcome == "pass"


# careful defaults


def careful(candidate: Arm, stable: Arm, weight: int | None = 50, looks: int = 10) -> Judgement:
    return judged(Analysis(), [arms(candidate, stable, weight=weight)] * looks, every=10)[-1]


def test_the_default_lets_a_good_one_through() -> None:
    random = Random(2)
    ours, theirs = drawn(random, 6000), drawn(random, 6000)
    seen = GpuProbed(verdict="right", how="probe", what="GPU-1", at=1)
    told = []
    for n in range(1, 13):
        requests = figures(ours[: 500 * n])
        candidate = arm(requests, restarts=0, gpus=[ArmGpu(uuid="GPU-1", xids=0)], gpu_probe=seen)
        told.append(arms(candidate, arm(figures(theirs[: 500 * n]))))
    found = judged(Analysis(), told)
    assert found[-1].outcome == "pass"
    assert [each.outcome for each in found[-1].findings] == ["pass"] * 6
    assert not any("left out" in each.words for each in found[-1].findings)


def test_the_default_judges_errors_at_100_percent_by_a_bound() -> None:
    """Nothing is left to compare with there, and half of the answers fail."""
    alone = arm(RequestFigures(), restarts=0, gpus=[])

    def told(each: int) -> list[Arms]:
        half = [even(300 * n, 3 * n) for n in range(1, 5)]
        at_50 = [arms(arm(one, restarts=0, gpus=[]), arm(one, restarts=0, gpus=[])) for one in half]
        at_100 = [
            arms(arm(even(50 * n, each * n), restarts=0, gpus=[]), alone, window="w2", weight=100)
            for n in range(1, 21)
        ]
        return at_50 + at_100

    bad = judged(Analysis(), told(25))
    assert bad[-1].outcome == "fail"
    assert len(bad) <= 4 + 3
    assert "2 % may be; surely more" in bad[-1].why
    good = judged(Analysis(), told(0))[-1]
    compared = {each.key: each for each in good.findings}["web/error_rate.stable"]
    assert compared.outcome == "pass"
    assert compared.words.endswith("; not compared at 100 %")


def test_the_default_asks_nothing_of_what_is_not_weighted_but_what_must_not_happen() -> None:
    plain = arm(None, restarts=0, gpus=[], unknown={"requests": "no proxy is in front of it"})
    found = careful(plain, plain, weight=None)
    assert found.outcome == "pass"
    assert [each.key for each in found.findings] == ["web/restarts", "web/xids", "web/gpu_probe"]
    plain.restarts = 1
    assert careful(plain, plain, weight=None).outcome == "fail"


def test_the_default_lets_the_first_of_its_name_through() -> None:
    assert careful(arm(even(9), restarts=0, gpus=[]), Arm()).outcome == "pass"


def test_the_default_does_not_pass_tcp() -> None:
    tcp = arm(None, restarts=0, gpus=[], unknown={"requests": "it forwards TCP"})
    assert careful(tcp, tcp).outcome == "inconclusive"


# what is remembered


def test_what_is_remembered_survives_the_journal_at_every_look() -> None:
    random = Random(8)
    ours, theirs = drawn(random, 2000, factor=1.1), drawn(random, 2000)
    conditions = (*CAREFUL, Condition(of="distribution", worse_by=0.5), ERRORS)
    analysis = Analysis(conditions=conditions, initial_delay=7)
    looks = kept = NodeLooks()
    for n in range(1, 9):
        told = of(figures(ours[: 250 * n], errors=n), figures(theirs[: 250 * n]))
        found = judge(analysis, told, looks, soaked=5 * n)
        again = judge(analysis, told, kept, soaked=5 * n)
        assert again.findings == found.findings
        looks = found.looks
        kept = from_json(msgspec.json.encode(again.looks), NodeLooks)
        assert kept == looks


def test_what_is_remembered_is_not_changed() -> None:
    looks = NodeLooks()
    first = judge(Analysis(conditions=(ERRORS,)), of(even(50, 1)), looks, soaked=5)
    before = msgspec.json.encode(first.looks)
    judge(Analysis(conditions=(ERRORS,)), of(even(90, 2)), first.looks, soaked=10)
    assert msgspec.json.encode(first.looks) == before
    assert looks == NodeLooks()


def test_it_stays_small_over_a_night() -> None:
    told = [of(even(100 * n, n // 7), even(100 * n, n // 9)) for n in range(1, 3000)]
    found = judged(Analysis(conditions=CAREFUL[:2]), told, every=10)
    assert len(msgspec.json.encode(found[-1].looks)) < 5000


def test_history_spans_all_of_the_time_and_is_bounded() -> None:
    history: tuple[Point, ...] = ()
    for second in range(10_000):
        history = with_point(history, Point(float(second), second * 1.0, None))
        assert len(history) <= HISTORY_KEPT
    assert history[0].soaked == 0
    assert history[-1].soaked == 9999
    assert len(history) >= HISTORY_KEPT // 2


def test_a_figure_that_stays_is_two_points() -> None:
    history: tuple[Point, ...] = ()
    for second in range(50):
        history = with_point(history, Point(float(second), 3.0, 4.0))
    assert history == (Point(0, 3, 4), Point(49, 3, 4))
