"""What was judged and why, in words, for the CLI and the TUI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from console.rollouts.judging.analysis import TESTED, Analysis, Condition, NoData, Of
from console.text import age, clean, size

_NAMES: dict[Of, str] = {
    "error_rate": "errors",
    "distribution": "latency as a whole",
    "gpu_memory": "GPU memory",
    "gpu_utilization": "GPU utilization",
    "gpu_temperature": "GPU temperature",
    "xids": "XIDs",
    "restarts": "restarts",
    "gpu_probe": "the GPUs seen from inside",
}
UNITS: dict[Of, str] = {
    "error_rate": "%",
    "latency": "s",
    "gpu_memory": "bytes",
    "gpu_utilization": "%",
    "gpu_temperature": "°C",
}


_NO_DATA: Mapping[NoData, str] = {
    "wait": "it is waited for",
    "pass": "it counts as well",
    "pause": "a person is asked",
    "fail": "it counts as failed",
}


def analysis_lines(analysis: Analysis) -> Iterator[str]:
    """What a plan says of it, defaults included."""
    conditions = analysis.conditions
    if not conditions:
        yield "no figures are judged"
        return
    yield "each node is judged by"
    for condition in conditions:
        notes = "; ".join(_notes(condition, analysis))
        yield f"  {label(condition)}{f' ({notes})' if notes else ''}"
    if any(condition.tested for condition in conditions):
        chance = figure(100 * analysis.false_alarms, "%")
        yield f"  all looks at a node that is no worse fail it with a chance of {chance} at most"
    if any(condition.worse_by is not None and condition.of in TESTED for condition in conditions):
        yield "  at 100 % stable answers nothing to compare with: only bounds count there"
    patience, then = age(analysis.patience), _NO_DATA[analysis.no_data]
    yield f"  where there is too little to say after {patience}: {then}"


def _notes(condition: Condition, analysis: Analysis) -> Iterator[str]:
    if condition.workload is not None:
        yield f"of {condition.workload}"
    if condition.where == "weighted":
        yield "weighted"
    elif condition.where == "measurable":
        yield "where it can be measured"
    if condition.least > 1:
        of_what = "requests" if condition.of in TESTED else "readings"
        yield f"from {condition.least:,} {of_what}"
    if condition.consecutive > 1:
        yield f"{condition.consecutive} readings in a row"
    delay = analysis.initial_delay if condition.initial_delay is None else condition.initial_delay
    if delay:
        yield f"after {age(delay)}"
    if condition.no_data not in (None, analysis.no_data):
        yield f"else {_NO_DATA[condition.no_data]}"
    if condition.dry_run:
        yield "only shown"


def name_of(condition: Condition) -> str:
    """`p99`, `errors`, `GPU memory`, a measure's own name."""
    if condition.of == "latency":
        return f"p{condition.quantile * 100:g}"
    return _NAMES.get(condition.of) or condition.name


def label(condition: Condition) -> str:
    """The condition as one would say it: `p99 at most 10 % over stable`."""
    name = name_of(condition)
    if condition.of == "gpu_probe":
        return name
    if condition.of == "distribution":
        return f"{name} no slower than stable (delta {condition.worse_by or 0:g} at most)"
    if condition.worse_by is not None:
        way = "under" if condition.better == "higher" else "over"
        return f"{name} at most {condition.worse_by * 100:g} % {way} stable"
    bounds = []
    if condition.at_least is not None:
        bounds.append(f"at least {figure(condition.at_least, UNITS.get(condition.of, ''))}")
    if condition.at_most is not None:
        share = 100 if condition.of == "error_rate" else 1
        bounds.append(f"at most {figure(condition.at_most * share, UNITS.get(condition.of, ''))}")
    return f"{name} {' and '.join(bounds)}"


def key_of(workload: str, condition: Condition) -> str:
    """Of what is remembered; one condition has the same at each look."""
    what = condition.of if condition.of != "measure" else f"measure.{condition.name}"
    if condition.of == "latency":
        what = f"p{condition.quantile * 100:g}"
    return f"{workload}/{what}{'' if condition.worse_by is None else '.stable'}"


def figure(value: float | None, unit: str) -> str:
    """A number as people read it: `48.2 ms`, `1.5 GiB`, `0.3 %`; `-` where it is unknown."""
    if value is None:
        return "-"
    if unit == "bytes":
        return size(value)
    if unit == "s":
        return _seconds(value)
    if unit == "%":
        return f"{value:.3g} %" if value < 100 else f"{value:.0f} %"
    return f"{value:,.6g}{f' {unit}' if unit else ''}"


def count(number: int, word: str) -> str:
    """`1 request`, `2,000 requests`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def reason(text: str) -> str:
    """What a node said, fit to be shown in a line."""
    return clean(text[:200]).strip()


def _seconds(value: float) -> str:
    if value >= 1:
        return f"{value:.3g} s"
    if value >= 0.001:
        return f"{value * 1000:.3g} ms"
    return f"{value * 1e6:.3g} µs"
