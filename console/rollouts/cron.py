"""Cron expressions of five fields, as sets of what matches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d{1,4}))?")


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    words: Mapping[str, int]


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of the month", 1, 31, {}),
    _Field("month", 1, 12, {word: number for number, word in enumerate(_MONTHS, 1)}),
    _Field("day of the week", 0, 7, {word: number for number, word in enumerate(_DAYS)}),
)


class BadCronError(ValueError):
    """What is wrong with an expression."""


class Cron(NamedTuple):
    """A cron expression of five fields, as sets of what matches."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either: bool  # both kinds of day are restricted: one of them is enough

    def on(self, day: date) -> bool:
        """Whether it opens on that day at all."""
        if day.month not in self.months:
            return False
        by_month = day.day in self.days
        by_week = day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either else by_month and by_week


def parse_cron(text: str) -> Cron:
    """`0 22 * * mon-fri`: lists, ranges, steps and names; as in crontab(5).

    Raises:
        BadCronError: in words.
    """
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise BadCronError(f"it has {len(parts)} fields, and cron has five")
    minutes, hours, days, months, weekdays = (
        _matching(part, field) for part, field in zip(parts, _FIELDS, strict=True)
    )
    # As cron has it: a field that begins with a star restricts nothing by itself.
    either = not parts[2].startswith("*") and not parts[4].startswith("*")
    return Cron(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)


def _matching(text: str, field: _Field) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise BadCronError(f"{part!r} is no {field.name}")
        step = int(match[3] or 1)
        if step == 0:
            raise BadCronError(f"{part!r} has a step of 0")
        if match[1] == "*":
            if match[2]:
                raise BadCronError(f"{part!r} is no {field.name}")
            first, last = field.low, field.high
        else:
            first = _number(match[1], field)
            last = _number(match[2], field) if match[2] else field.high if match[3] else first
        if last < first:
            raise BadCronError(f"{part!r} ends before it begins")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _number(word: str, field: _Field) -> int:
    number = field.words.get(word.lower())
    if number is None:
        if not word.isascii() or not word.isdigit() or len(word) > 4:
            raise BadCronError(f"{word!r} is no {field.name}")
        number = int(word)
    if not field.low <= number <= field.high:
        raise BadCronError(f"{word!r} is no {field.name}: {field.low} to {field.high}")
    return number
