"""Places of a workload that were withheld: which ones lack a text, and texts put back. Pure.

Both sides go by this: the console says beforehand what the node's job would say. Values are
workloads as plain JSON; a place is its way from the top, with dots: "environment.TOKEN",
"command.2".
"""

from __future__ import annotations

from typing import Any

from agent.protocol.snapshots import WITHHELD

# Lists whose order says nothing: their elements are found again by this field.
_NAMED_BY = {"mounts": "target", "networks": "name"}


def put_back(value: Any, known: Any, *, field: str = "") -> Any:
    """The value with each withheld text as `known` has it at the same place.

    A list is another one, and tells nothing, unless all that is not withheld is alike.
    """
    if isinstance(value, dict):
        there = known if isinstance(known, dict) else {}
        return {key: put_back(each, there.get(key), field=key) for key, each in value.items()}
    if isinstance(value, list):
        if field in _NAMED_BY:
            return [put_back(each, _same(each, known, _NAMED_BY[field])) for each in value]
        if not _alike(value, known):
            return value
        return [put_back(each, there) for each, there in zip(value, known, strict=True)]
    return known if value == WITHHELD and isinstance(known, str) else value


def lacking(value: Any, place: str = "") -> list[str]:
    """The places that are still withheld."""
    if isinstance(value, dict):
        items = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list):
        items = [(str(number), each) for number, each in enumerate(value)]
    else:
        return [place] if value == WITHHELD else []
    return [
        found for key, each in items for found in lacking(each, f"{place}.{key}" if place else key)
    ]


def put_at(value: Any, place: str, text: str) -> Any:
    """The value with that text at a withheld place; unchanged where none is withheld there."""
    return _put_at(value, place, text, "")


def _put_at(value: Any, place: str, text: str, here: str) -> Any:
    if isinstance(value, dict):
        return {
            key: _put_at(each, place, text, f"{here}.{key}" if here else str(key))
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [
            _put_at(each, place, text, f"{here}.{number}" if here else str(number))
            for number, each in enumerate(value)
        ]
    return text if here == place and value == WITHHELD else value


def _same(value: Any, known: Any, field: str) -> Any:
    """The one of `known` that has the same in that field; None: there is none."""
    if not isinstance(value, dict) or not isinstance(known, list):
        return None
    return next(
        (
            each
            for each in known
            if isinstance(each, dict) and each.get(field) == value.get(field) != WITHHELD
        ),
        None,
    )


def _alike(value: Any, known: Any) -> bool:
    """Whether they are the same but for texts that are withheld."""
    if value == WITHHELD:
        return isinstance(known, str)
    if isinstance(value, dict) and isinstance(known, dict):
        return value.keys() == known.keys() and all(
            _alike(each, known[key]) for key, each in value.items()
        )
    if isinstance(value, list) and isinstance(known, list):
        return len(value) == len(known) and all(map(_alike, value, known))
    return bool(value == known)
