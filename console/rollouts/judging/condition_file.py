"""Reads one condition of `analysis`: `p99: {worse_by: 10%}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agent.protocol.measures import Measure
from console.compose.reading import Place
from console.rollouts.judging.analysis import Condition, NoData, Of
from console.rollouts.judging.measure_file import MEASURE_KEYS, MeasureKind, read_measure

NO_DATA: Mapping[str, NoData] = {"wait": "wait", "pass": "pass", "pause": "pause", "fail": "fail"}
_QUANTILE = re.compile(r"p([1-9]\d?(?:\.\d{1,3})?)")
_SHARE = re.compile(r"(\d{1,4}(?:\.\d{1,6})?)\s*%")
_OF: Mapping[str, Of] = {
    "error_rate": "error_rate",
    "p50": "latency",
    "p95": "latency",
    "p99": "latency",
    "distribution": "distribution",
    "gpu_memory": "gpu_memory",
    "gpu_utilization": "gpu_utilization",
    "gpu_temperature": "gpu_temperature",
    "xids": "xids",
    "restarts": "restarts",
    "gpu_probe": "gpu_probe",
    "metric": "measure",
    "exec": "measure",
}
_MEASURES: Mapping[str, MeasureKind] = {"metric": "metric", "exec": "exec"}
_ALL_TAKE = ("workload", "initial_delay", "no_data", "dry_run")
_READ = ("at_most", "worse_by", "least", "consecutive")
_TAKES: Mapping[Of, tuple[str, ...]] = {
    "error_rate": ("at_most", "worse_by", "above", "least"),
    "latency": ("at_most", "worse_by", "least"),
    "distribution": ("worse_by", "least"),
    "gpu_memory": _READ,
    "gpu_utilization": _READ,
    "gpu_temperature": _READ,
    "xids": ("at_most",),
    "restarts": ("at_most",),
    "gpu_probe": ("consecutive",),
    "measure": (*_READ, "at_least", "better"),
}
# By how much one may be worse than stable that says no more than its name.
_WORSE_BY: Mapping[Of, float] = {"error_rate": 0.25, "latency": 0.1, "distribution": 0.15}
_LEAST: Mapping[Of, int] = {"error_rate": 200, "latency": 1000, "distribution": 200, "measure": 1}
_CONSECUTIVE: Mapping[Of, int] = {
    "gpu_memory": 3,
    "gpu_utilization": 3,
    "gpu_temperature": 3,
    "gpu_probe": 2,
}
_NEAR_ZERO = 0.001


def read_condition(item: Place, workloads: list[str]) -> tuple[Condition, Measure | None] | None:
    """It, and what has to be measured for it. None where it is none, which is noted."""
    named = _named(item)
    if named is None:
        return None
    name, place = named
    of = _OF.get(name, "latency")
    kind = _MEASURES.get(name)
    keys = {*_ALL_TAKE, *_TAKES[of], *(MEASURE_KEYS[kind] if kind else ())}
    if not place.is_null() and not place.is_text() and place.known(keys) is None:
        return None
    measure = read_measure(place, kind) if kind else None
    if kind and measure is None:
        return None
    bounds = _bounds(place, of)
    if bounds is None:
        return None
    workload = found.one_of(workloads) if (found := place.get("workload")) else None
    if kind and place.get("workload") is None:
        if len(workloads) != 1:
            place.wrong("names no workload", f"Say workload: and one of {', '.join(workloads)}.")
            return None
        workload = workloads[0]
    delay = found.seconds() if (found := place.get("initial_delay")) else None
    no_data = found.one_of(NO_DATA) if (found := place.get("no_data")) else None
    better = found.one_of(("lower", "higher")) if (found := place.get("better")) else None
    condition = Condition(
        of=of,
        name=measure.name if measure else "",
        quantile=_quantile(name),
        workload=workload,
        **bounds,
        better="higher" if better == "higher" else "lower",
        above=_above(place, of),
        least=_count(place, "least", _LEAST.get(of, 0), 0),
        consecutive=_count(place, "consecutive", _CONSECUTIVE.get(of, 1), 1),
        initial_delay=delay,
        no_data=None if no_data is None else NO_DATA[no_data],
        dry_run=bool(found.truth()) if (found := place.get("dry_run")) else False,
    )
    return condition, measure


def _named(item: Place) -> tuple[str, Place] | None:
    """Its name, and where its settings are; `- restarts` is all of one."""
    if item.is_text():
        name = item.one_of(_OF)
        return None if name is None else (name, item)
    entries = item.entries()
    own = [name for name, _ in entries if _QUANTILE.fullmatch(name)]
    if item.known({*_OF, *own}) is None or not entries:
        return None
    if len(entries) > 1:
        item.wrong("is more than one condition", "Begin each with a dash of its own.")
        return None
    name, place = entries[0]
    return (name, place) if name in _OF or name in own else None


def _quantile(name: str) -> float:
    match = _QUANTILE.fullmatch(name)
    return Condition(of="latency").quantile if match is None else round(float(match[1]) / 100, 5)


def _bounds(place: Place, of: Of) -> dict[str, Any] | None:
    """`at_most`, `at_least`, `worse_by`; None where they do not go together."""
    at_most = _limit(found, of) if (found := place.get("at_most")) else None
    at_least = _limit(found, of) if (found := place.get("at_least")) else None
    worse_by = _worse_by(found, of) if (found := place.get("worse_by")) else None
    bound = place.get("at_most") or place.get("at_least")
    if bound and place.get("worse_by"):
        hint = "Write them as two conditions, each with a dash of its own."
        place.wrong("is a bound and a comparison with stable", hint)
        return None
    if not bound and not place.get("worse_by"):
        if of in _WORSE_BY:
            worse_by = _WORSE_BY[of]
        elif of in ("xids", "restarts"):
            at_most = 0.0
        elif of != "gpu_probe":
            ways = "at_most, at_least or worse_by" if of == "measure" else "at_most or worse_by"
            place.wrong("says no bound", f"Say {ways}.")
            return None
    return {"at_most": at_most, "at_least": at_least, "worse_by": worse_by}


def _limit(value: Place, of: Of) -> float | None:
    if of == "error_rate":
        found = share_of(value)
        if found is not None and found >= 1:
            value.wrong("is all of them", "Write a share under 100%.")
        return found
    if of == "latency":
        return value.seconds()
    if of == "gpu_memory":
        size = value.size()
        return None if size is None else float(size)
    if of in ("xids", "restarts"):
        number = value.integer(0, 1_000_000)
        return None if number is None else float(number)
    if of == "gpu_utilization" and (text := value.word()) is not None and text.endswith("%"):
        share = share_of(value)
        return None if share is None else share * 100
    return _signed(value) if of == "measure" else value.number()


def _worse_by(value: Place, of: Of) -> float | None:
    if of != "distribution":
        return share_of(value)
    found = value.number()
    if found is not None and found >= 1:
        value.wrong(
            "is no difference of distributions", "Write Cliff's delta: 0.15 is a small one."
        )
        return None
    return found


def share_of(value: Place) -> float | None:
    """0.1 of `10%`."""
    text = value.word()
    if text is None:
        return None
    match = _SHARE.fullmatch(text.strip())
    if match is None:
        value.wrong(f"is {text[:40]!r}, which is no share", 'Write it like "10%".')
        return None
    return float(match[1]) / 100


def _signed(value: Place) -> float | None:
    """A number of a measure's may be below 0."""
    text = value.word()
    try:
        found = None if text is None else float(text)
    except ValueError:
        found = None
    if text is not None and (found is None or not abs(found) < 1e18):  # also what is no number
        value.wrong(f"is {text[:40]!r}, which is no number", "Write it like 0.92 or -3.")
        return None
    return found


def _above(place: Place, of: Of) -> float:
    value = place.get("above")
    found = None if value is None else share_of(value)
    if found is not None:
        return found
    return _NEAR_ZERO if of == "error_rate" else 0.0


def _count(place: Place, key: str, otherwise: int, low: int) -> int:
    value = place.get(key)
    found = None if value is None else value.integer(low, 1_000_000_000)
    return otherwise if found is None else found


def seconds(place: Place, key: str, otherwise: float) -> float:
    """Of `key` there."""
    value = place.get(key)
    found = None if value is None else value.seconds()
    return otherwise if found is None else found
