"""A candidate that leaves some clients waiting until they give up: from the log to the judge."""

from __future__ import annotations

from agent.protocol.arms import ArmName, RequestFigures
from agent.traffic.lines import answer_of
from agent.traffic.tally import Tally
from console.rollouts.judging.analysis import Analysis, Condition
from console.rollouts.judging.judge import Outcome
from tests.console.rollouts.judging.arms_made import judged, of

ANSWERED = "r b-all-8080 {arm} 200 -- 0 1 4 {began} 4200 {ended}"
GIVEN_UP = "r b-all-8080 {arm} -1 CH 0 1 -1 {began} - {ended}"
PATIENCE = 2_000_000  # of the clients, in microseconds
REQUESTS = 2000  # for each arm
EVERY = 20  # the so manieth hangs: 5 %


def hanging(requests: int, every: int = EVERY) -> dict[ArmName, RequestFigures]:
    """What both arms did by their proxy's log, the candidate's clients giving up in between."""
    tally = Tally(clock=lambda: 1.0)
    tally.begin(50, ("stable", "candidate"))
    for number in range(requests):
        began = 2_000_000 + 1000 * number
        hangs = number % every == every - 1
        lines = [
            ANSWERED.format(arm="stable", began=began, ended=began + 5000),
            ANSWERED.format(arm="candidate", began=began, ended=began + 5000)
            if not hangs
            else GIVEN_UP.format(arm="candidate", began=began, ended=began + PATIENCE),
        ]
        for line in lines:
            answer = answer_of(line.encode())
            assert answer is not None
            tally.take(answer)
    window = tally.window()
    assert window is not None
    return window.arms


def outcome(condition: Condition, *, every: int = EVERY) -> Outcome:
    told = []
    for look in range(1, 11):
        seen = hanging(look * REQUESTS // 10, every)
        told.append(of(seen["candidate"], seen["stable"]))
    return judged(Analysis(conditions=(condition,)), told)[-1].outcome


def test_what_its_clients_waited_is_its_latency() -> None:
    candidate = hanging(REQUESTS)["candidate"]
    assert (candidate.requests, candidate.errors) == (REQUESTS, 0)
    assert sum(candidate.latency.values()) == REQUESTS
    assert candidate.latency[max(candidate.latency)] == REQUESTS // EVERY


def test_it_fails_the_comparison_and_the_bound_of_its_p99() -> None:
    assert outcome(Condition(of="latency", quantile=0.99, worse_by=0.1)) == "fail"
    assert outcome(Condition(of="latency", quantile=0.99, at_most=0.5)) == "fail"


def test_one_that_answers_all_of_them_does_not() -> None:
    assert outcome(Condition(of="latency", quantile=0.99, worse_by=0.1), every=10**9) != "fail"
