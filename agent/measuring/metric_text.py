"""Reads pages of metrics: Prometheus's text format, and what OpenMetrics has like it.

Written here because prometheus_client's parser renames counters, wants the whole page to be well
formed, and is the one part of it that the agent would use.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from agent.measuring.readings import NotMeasuredError

SHOWN = 60
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|(?=\}))')
_ESCAPED = re.compile(r"\\(.)")


class Sample(NamedTuple):
    """One line: a series and its value now, which may be NaN or infinite."""

    name: str
    labels: Mapping[str, str]
    value: float


def read_metrics(page: str, names: Collection[str]) -> list[Sample]:
    """The samples of these metrics, in their order; other lines are not looked into.

    Raises:
        NotMeasuredError: one of their lines cannot be read, or a series is there twice.
    """
    found: dict[tuple[str, tuple[tuple[str, str], ...]], Sample] = {}
    # Only "\n" ends a line here: a label may hold whatever else splitlines() takes for one.
    for number, line in enumerate(page.split("\n"), start=1):
        match = _NAME.match(line)
        if match is None or match[0] not in names:
            continue
        sample = _sample(match[0], line, match.end())
        if sample is None:
            raise NotMeasuredError(f"line {number} of its page is no metric: {line[:SHOWN]!r}")
        key = sample.name, tuple(sorted(sample.labels.items()))
        if key in found:
            raise NotMeasuredError(f"line {number} of its page is there twice: {line[:SHOWN]!r}")
        found[key] = sample
    return list(found.values())


def _sample(name: str, line: str, place: int) -> Sample | None:
    labels: dict[str, str] = {}
    place = _past_blanks(line, place)
    if line[place : place + 1] == "{":
        place = _past_blanks(line, place + 1)
        while line[place : place + 1] != "}":
            label = _LABEL.match(line, place)
            if label is None or label[1] in labels:
                return None
            labels[label[1]] = _ESCAPED.sub(_unescaped, label[2])
            place = _past_blanks(line, label.end())
        place += 1
    # A time and an exemplar may follow the value.
    rest = line[place:].split()
    try:
        return Sample(name, labels, float(rest[0].replace("_", " ")))  # Python takes 1_000
    except (IndexError, ValueError):
        return None


def _past_blanks(line: str, place: int) -> int:
    while line[place : place + 1] in (" ", "\t"):
        place += 1
    return place


def _unescaped(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]
