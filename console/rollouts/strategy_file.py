"""Reads `x-roost.rollout` at the top of a Compose file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from console.compose.compose_file import ComposeFile
from console.compose.findings import ComposeProblem, Findings
from console.compose.reading import ROOST, Place
from console.rollouts.judging.analysis_file import read_analysis
from console.rollouts.strategy import Amount, Gate, OnFailure, Strategy, Wave

_KEYS = (
    *("waves", "soak", "max_unavailable", "failures", "gate"),
    *("deadline", "confirm_within", "on_failure", "analysis"),
)
_GATES: Mapping[str, Gate] = {"auto": "auto", "manual": "manual"}
_ENDS: Mapping[str, OnFailure] = {
    "revert-wave": "revert-wave",
    "revert-all": "revert-all",
    "pause": "pause",
}
_AMOUNT = re.compile(r"(?:(\d{1,6})|(\d{1,3}(?:\.\d{1,3})?)\s*%)")
_WAYS = ("nodes", "percent", "selector")


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
    analysis = place.get("analysis")
    return Strategy(
        waves=_waves(found) if (found := place.get("waves")) else given.waves,
        soak=_seconds(place, "soak", given.soak),
        max_unavailable=_amount(place, "max_unavailable", given.max_unavailable),
        failures=_amount(place, "failures", given.failures),
        gate=_GATES[(found.one_of(_GATES) if (found := place.get("gate")) else None) or given.gate],
        deadline=_seconds(place, "deadline", given.deadline),
        confirm_within=_seconds(place, "confirm_within", given.confirm_within),
        on_failure=_ENDS[
            (found.one_of(_ENDS) if (found := place.get("on_failure")) else None)
            or given.on_failure
        ],
        analysis=given.analysis if analysis is None else read_analysis(analysis, services),
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


def _amount(place: Place, key: str, otherwise: Amount) -> Amount:
    value = place.get(key)
    text = None if value is None else value.word()
    if value is None or text is None:
        return otherwise
    match = _AMOUNT.fullmatch(text.strip())
    if match is None or (match[2] and float(match[2]) > 100):
        value.wrong(f"is {text[:40]!r}", 'Write a number of nodes, or a share like "10%".')
        return otherwise
    return Amount(count=int(match[1])) if match[1] else Amount(percent=float(match[2]))


def _seconds(place: Place, key: str, otherwise: float) -> float:
    value = place.get(key)
    found = None if value is None else value.seconds()
    return otherwise if found is None else found
