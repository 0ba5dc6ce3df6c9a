"""What `tested` saw, in words."""

from __future__ import annotations

import math

from agent.protocol.arms import seconds_of
from console.rollouts.judging.analysis import Condition
from console.rollouts.judging.looked import State
from console.rollouts.judging.looks import ConditionLooks
from console.rollouts.judging.words import count, figure, name_of

# Odds of ten to one that it is worse: too little to fail it, too much to let it through.
_DOUBT = math.log(10)


def speaks_against(looks: ConditionLooks) -> bool:
    """Whether there is evidence that it is worse, if no proof; the last look may be all of it."""
    return max(looks.evidence.log, looks.latest) >= _DOUBT


def said(
    condition: Condition,
    looks: ConditionLooks,
    ours: float | None,
    theirs: float | None,
    state: State,
) -> str:
    """`p99 61 ms, stable 48 ms, of 2,000 and 18,000 answers; surely worse: ...`"""
    errors = condition.of == "error_rate"
    unit, word = ("%", "request") if errors else ("s", "answer")
    seen = f"{name_of(condition)} {figure(ours, unit)}"
    if condition.worse_by is None:
        limit = figure((condition.at_most or 0.0) * (100 if errors else 1), unit)
        seen += f" of {count(looks.candidate, word)}, {limit} may be"
    else:
        seen += f", stable {figure(theirs, unit)}"
        seen += f", of {looks.candidate:,} and {count(looks.stable, word)}"
    if state in ("worse", "doubt"):
        sure = "surely" if state == "worse" else "perhaps"
        worse = "worse" if condition.worse_by is not None else "more"
        return f"{seen}; {sure} {worse}: {_lately(condition, looks)}"
    if state != "holds" or condition.worse_by is None:
        return seen
    if speaks_against(looks):
        return f"{seen}; if worse, by no more than {condition.worse_by * 100:g} %"
    if ours is not None and theirs is not None and ours > theirs * (1 + condition.worse_by):
        return f"{seen}: worse by what may be chance"
    return f"{seen}: no worse"


def _lately(condition: Condition, looks: ConditionLooks) -> str:
    recent = looks.recent
    slow = next((each.slow for each in looks.sorts.values() if each.slow is not None), None)
    what = "failed"
    if condition.of == "latency":
        what = f"took over {figure(None if slow is None else seconds_of(slow), 's')}"
    told = f"{recent.events:,} of its last {recent.candidate:,} {what}"
    if condition.worse_by is None:
        return told
    return f"{told}, and {recent.stable_events:,} of stable's {recent.stable:,}"
