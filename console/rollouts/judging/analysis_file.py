"""Reads `analysis` of `x-roost.rollout`: what a candidate is judged by."""

from __future__ import annotations

from collections.abc import Collection

from agent.protocol.measures import MEASURES_LIMIT, Measure, Replay
from console.compose.reading import Place
from console.rollouts.judging.analysis import Analysis, Condition, NoData
from console.rollouts.judging.condition_file import NO_DATA, read_condition, seconds, share_of
from console.rollouts.judging.measure_file import read_replay
from console.rollouts.judging.words import key_of

_KEYS = (
    *("conditions", "false_alarms", "initial_delay", "patience", "no_data", "errors"),
    "replay",
)
_MOST_FALSE_ALARMS = 0.2


def read_analysis(place: Place, workloads: Collection[str]) -> Analysis:
    """What stands at `place`, defaults where it says nothing; what is wrong is noted there.

    `workloads`: the names of all services of the file.
    """
    given = Analysis()
    if place.known(_KEYS) is None:
        return given
    names = list(workloads)
    conditions, measures = given.conditions, given.measures
    if listed := place.get("conditions"):
        conditions, measures = _conditions(listed, names)
    no_data = _no_data(place)
    errors = found.integer(0, 1000) if (found := place.get("errors")) else None
    return Analysis(
        conditions=conditions,
        false_alarms=_false_alarms(place, given.false_alarms),
        initial_delay=seconds(place, "initial_delay", given.initial_delay),
        patience=seconds(place, "patience", given.patience),
        no_data=given.no_data if no_data is None else no_data,
        errors=given.errors if errors is None else errors,
        measures=measures,
        replays=_replays(place, names),
    )


def _conditions(
    listed: Place, workloads: list[str]
) -> tuple[tuple[Condition, ...], dict[str, tuple[Measure, ...]]]:
    conditions: list[Condition] = []
    keys: set[str] = set()
    measures: dict[str, dict[str, Measure]] = {}
    for item in listed.items():
        read = read_condition(item, workloads)
        if read is None:
            continue
        condition, measure = read
        names = workloads if condition.workload is None else [condition.workload]
        if not keys.isdisjoint(key_of(name, condition) for name in names):
            item.wrong("is said twice", "One entry for each bound and each comparison.")
            continue
        keys.update(key_of(name, condition) for name in names)
        conditions.append(condition)
        if measure is not None:
            for name in names:
                _measure(item, measures.setdefault(name, {}), measure)
    return tuple(conditions), {name: tuple(each.values()) for name, each in measures.items()}


def _measure(item: Place, measures: dict[str, Measure], measure: Measure) -> None:
    """A bound and a comparison may be of the same one."""
    if measures.setdefault(measure.name, measure) != measure:
        item.wrong(f"measures {measure.name} in two ways", "Give each its own name.")
    elif len(measures) > MEASURES_LIMIT:
        item.wrong("is one measure too many", f"A workload has {MEASURES_LIMIT} at most.")


def _replays(place: Place, workloads: list[str]) -> dict[str, Replay]:
    found: dict[str, Replay] = {}
    listed = place.get("replay")
    for item in listed.items() if listed else []:
        read = read_replay(item, workloads)
        if read is not None and found.setdefault(*read) is not read[1]:
            item.wrong(f"is the second of {read[0]}", "A workload has one replay.")
    return found


def _false_alarms(place: Place, otherwise: float) -> float:
    value = place.get("false_alarms")
    found = None if value is None else share_of(value)
    if value is None or found is None:
        return otherwise
    if not 0 < found <= _MOST_FALSE_ALARMS:
        value.wrong("is no share that a test can keep", "Write more than 0%, and 20% at most.")
        return otherwise
    return found


def _no_data(place: Place) -> NoData | None:
    value = place.get("no_data")
    found = None if value is None else value.one_of(NO_DATA)
    return None if found is None else NO_DATA[found]
