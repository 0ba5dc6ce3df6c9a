"""Reads `x-roost.rollout` at the top of a Compose file."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from console.compose.compose_file import ComposeFile
from console.compose.findings import ComposeProblem, Findings
from console.compose.reading import ROOST, Place
from console.rollouts.cron import BadCronError
from console.rollouts.judging.analysis_file import read_analysis
from console.rollouts.notify_file import read_notify
from console.rollouts.strategy import (
    Amount,
    Deadlines,
    Gate,
    OnFailure,
    PerGroup,
    Strategy,
    Wave,
)
from console.rollouts.windows import (
    LONGEST_SECONDS,
    BadZoneError,
    Window,
    opening,
)

_KEYS = (
    *("waves", "weights", "soak", "min_healthy", "max_unavailable", "failures", "gate", "window"),
    *("deadline", "confirm_within", "catch_up", "on_failure", "analysis", "notify"),
)
_GATES: Mapping[str, Gate] = {"auto": "auto", "manual": "manual", "approval": "approval"}
_ENDS: Mapping[str, OnFailure] = {
    "revert-wave": "revert-wave",
    "revert-all": "revert-all",
    "pause": "pause",
}
_AMOUNT = re.compile(r"(?:(\d{1,6})|(\d{1,3}(?:\.\d{1,3})?)\s*%)")
_WAYS = ("nodes", "percent", "selector")
_DAYS = re.compile(r"(\d{1,3})d")
SHORTEST_WINDOW_SECONDS = 60.0


def read_strategy(file: ComposeFile) -> tuple[Strategy, list[ComposeProblem]]:
    """How it says that it goes out, defaults where it says nothing; and what is wrong there.

    Of several files the last one that says something says all of it.
    """
    for root, path in zip(reversed(file.roots), reversed(file.paths), strict=True):
        findings = Findings(str(path))
        top = None if root is None else Place(root, "", {}, findings).get(ROOST)
        place = None if top is None else top.get("rollout")
        if place is not None:
            known = place.known(_KEYS) is not None
            strategy = _strategy(place, _services(file)) if known else Strategy()
            return strategy, list(findings.problems)
    return Strategy(), []


def _services(file: ComposeFile) -> list[str]:
    found: dict[str, None] = {}
    for root in file.roots:
        unread = Findings(file.name)  # who reads the services tells what is wrong there
        services = None if root is None else Place(root, "", {}, unread).get("services")
        found.update(dict.fromkeys(name for name, _ in (services.entries() if services else [])))
    return [*found]


def _strategy(place: Place, services: list[str]) -> Strategy:
    given = Strategy()
    total, groups = _unavailable(place, given)
    analysis = place.get("analysis")
    return Strategy(
        waves=_waves(found) if (found := place.get("waves")) else given.waves,
        weights=_weights(found, given) if (found := place.get("weights")) else given.weights,
        soak=_seconds(place, "soak", given.soak),
        min_healthy=_seconds(place, "min_healthy", given.min_healthy),
        max_unavailable=total,
        max_unavailable_per=groups,
        failures=_amount(place.get("failures"), given.failures),
        gate=_GATES[(found.one_of(_GATES) if (found := place.get("gate")) else None) or given.gate],
        window=_window(found) if (found := place.get("window")) else None,
        deadline=_deadlines(found, given) if (found := place.get("deadline")) else given.deadline,
        confirm_within=_seconds(place, "confirm_within", given.confirm_within),
        catch_up=_days(place, "catch_up", given.catch_up),
        on_failure=_ENDS[
            (found.one_of(_ENDS) if (found := place.get("on_failure")) else None)
            or given.on_failure
        ],
        analysis=given.analysis if analysis is None else read_analysis(analysis, services),
        notify=read_notify(found) if (found := place.get("notify")) else (),
    )


def _waves(place: Place) -> tuple[Wave, ...]:
    waves = [_wave(item) for item in place.items()]
    shares = sum(wave.percent or 0 for wave in waves if wave)
    if shares > 100:
        place.wrong(f"take {shares:g} % of the nodes", "All shares together are 100 % at most.")
    return tuple(wave for wave in waves if wave is not None)


def _wave(item: Place) -> Wave | None:
    if item.known(_WAYS) is None:
        return None
    given = [way for way in _WAYS if item.get(way)]
    if len(given) != 1:
        item.wrong("is not one wave", "Write it like nodes: 1, percent: 10 or selector: site=lab.")
        return None
    value = item.get(given[0])
    if value is None:
        return None
    if given[0] == "selector":
        text = value.text()
        return None if text is None else Wave(selector=text)
    if given[0] == "nodes":
        count = value.integer(1, 100_000)
        return None if count is None else Wave(nodes=count)
    share = value.number()
    if share is None or not 0 < share <= 100:
        value.wrong("is no share", "Write a number over 0, and 100 at most.")
        return None
    return Wave(percent=share)


def _weights(place: Place, given: Strategy) -> tuple[int, ...]:
    found = [number for item in place.items() if (number := item.integer(0, 100)) is not None]
    if not found:
        return given.weights
    if found != sorted(set(found)) or found[-1] != 100:
        place.wrong(
            f"are {', '.join(map(str, found))}", "They grow, and the last is 100: [10, 50, 100]."
        )
        return given.weights
    return tuple(found)


def _unavailable(place: Place, given: Strategy) -> tuple[Amount, tuple[PerGroup, ...]]:
    """Of all nodes, and of groups of them."""
    value = place.get("max_unavailable")
    if value is None:
        return given.max_unavailable, given.max_unavailable_per
    total, groups = given.max_unavailable, []
    for item in value.items() if value.is_list() else [value]:
        if item.is_text():
            total = _amount(item, total)
        elif (group := _group(item)) is not None:
            groups.append(group)
    return total, tuple(groups)


def _group(item: Place) -> PerGroup | None:
    if item.known(("per", "count", "percent")) is None:
        return None
    per, count, share = item.get("per"), item.get("count"), item.get("percent")
    label = None if per is None else per.text()
    if label is None or (count is None) == (share is None):
        item.wrong("is no limit of a group", "Write it like {per: site, count: 1}.")
        return None
    if count is not None:
        number = count.integer(1, 100_000)
        return None if number is None else PerGroup(label, Amount(count=number))
    percent = None if share is None else share.number()
    if share is not None and (percent is None or not 0 < percent <= 100):
        share.wrong("is no share", "Write a number over 0, and 100 at most.")
        return None
    return PerGroup(label, Amount(percent=percent))


def _deadlines(place: Place, given: Strategy) -> Deadlines:
    """One duration for all states, or of each its own."""
    if place.is_text():
        seconds = place.seconds()
        if seconds is None:
            return given.deadline
        return Deadlines(**dict.fromkeys(Deadlines.__struct_fields__, seconds))
    if place.known(Deadlines.__struct_fields__) is None:
        return given.deadline
    return Deadlines(
        **{
            name: _seconds(place, name, getattr(given.deadline, name))
            for name in Deadlines.__struct_fields__
        }
    )


def _window(place: Place) -> Window | None:
    if place.known(("cron", "duration", "zone")) is None:
        return None
    cron, lasts, zone = place.get("cron"), place.get("duration"), place.get("zone")
    if cron is None or lasts is None:
        place.wrong("is not whole", 'Write it like {cron: "0 22 * * mon-fri", duration: 6h}.')
        return None
    text, seconds = cron.text(), lasts.seconds()
    name = None if zone is None else zone.text()
    if text is None or seconds is None or (zone is not None and name is None):
        return None
    if not SHORTEST_WINDOW_SECONDS <= seconds <= LONGEST_SECONDS:
        lasts.wrong("is no length of a window", "It is open for 1 minute at least, 7 days at most.")
        return None
    window = Window(cron=text, duration=seconds, zone=name)
    try:
        opens = opening(window, "UTC").next_after(time.time())
    except BadZoneError as error:
        (zone or place).wrong(f"is {name!r}: {error}", "Write an IANA name, like Europe/Berlin.")
        return None
    except BadCronError as error:
        hint = 'Write minute, hour, day, month and day of the week, like "0 22 * * mon-fri".'
        cron.wrong(f"is {text[:60]!r}: {error}", hint)
        return None
    if opens is None:
        cron.wrong(f"is {text[:60]!r}, which never comes", "No month has such a day.")
        return None
    return window


def _amount(value: Place | None, otherwise: Amount) -> Amount:
    text = None if value is None else value.word()
    if value is None or text is None:
        return otherwise
    match = _AMOUNT.fullmatch(text.strip())
    if match is None or (match[2] and float(match[2]) > 100):
        value.wrong(f"is {text[:40]!r}", 'Write a number of nodes, or a share like "10%".')
        return otherwise
    return Amount(count=int(match[1])) if match[1] else Amount(percent=float(match[2]))


def _days(place: Place, key: str, otherwise: float) -> float:
    """As `_seconds`, and "7d"."""
    value = place.get(key)
    if value is not None and value.is_text():
        match = _DAYS.fullmatch(value.word() or "")
        if match is not None:
            return int(match[1]) * 86400.0
    return _seconds(place, key, otherwise)


def _seconds(place: Place, key: str, otherwise: float) -> float:
    value = place.get(key)
    found = None if value is None else value.seconds()
    return otherwise if found is None else found
