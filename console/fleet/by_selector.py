"""What fleet.yaml says of nodes by selector: of two selectors the more specific one counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.fleet.selectors import Selector, parse_selector

T = TypeVar("T")

_NAMED = 1000  # more than any selector has requirements
Clash = Callable[[str, str, str], ProblemError]
Wrong = Iterator[tuple[list[str | int], str, str]]  # where in the file, why, and what to do


def most_specific(
    said: Mapping[str, Mapping[str, T]], node: NodeEntry, clash: Clash
) -> dict[str, tuple[str, T]]:
    """By name: the selector that counts for `node`, and what it says.

    A selector with names comes first, then the one with the most requirements.

    Raises:
        ProblemError: `clash(name, selector, selector)` where two that are alike disagree.
    """
    found: dict[str, list[tuple[int, str, T]]] = {}
    for text, values in said.items():
        selector = parse_selector(text)
        if selector.matches(node.name, node.labels):
            for name, value in values.items():
                found.setdefault(name, []).append((_weight(selector), text, value))
    return {name: _heaviest(name, all_of_it, clash) for name, all_of_it in found.items()}


def wrong_in(
    key: str,
    said: Mapping[str, T],
    own: Iterable[T],
    wrong: Callable[[T], Iterator[tuple[str, str, str]]],
) -> Wrong:
    """What cannot be under `key`: `said` by selector, `own` of each node in the file's order.

    `wrong` tells of one of them: the name, why, and what to do.
    """
    for text in said:
        try:
            parse_selector(text)
        except ProblemError as problem:
            yield [key, text], problem.detail, problem.hint or ""
    for text, values in said.items():
        for name, why, hint in wrong(values):
            yield [key, text, name], why, hint
    for index, values in enumerate(own):
        for name, why, hint in wrong(values):
            yield ["nodes", index, key, name], why, hint


def _heaviest(name: str, said: list[tuple[int, str, T]], clash: Clash) -> tuple[str, T]:
    most = max(weight for weight, _, _ in said)
    first, *others = [(text, value) for weight, text, value in said if weight == most]
    for text, value in others:
        if value != first[1]:
            raise clash(name, first[0], text)
    return first


def _weight(selector: Selector) -> int:
    return len(selector.requirements) + (_NAMED if selector.names else 0)
