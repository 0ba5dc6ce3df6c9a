"""`depends_on`, and the order in which services start."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from console.compose.definitions import defined
from console.compose.reading import Place

Condition = Literal["started", "healthy", "completed"]
_CONDITIONS: Mapping[str, Condition] = {
    "service_started": "started",
    "service_healthy": "healthy",
    "service_completed_successfully": "completed",
}


def read_depends_on(
    place: Place | None, *, services: Collection[str], off: Mapping[str, Sequence[str]]
) -> dict[str, Condition]:
    """What a service waits for. `off`: services left out, with the profiles that bring them."""
    if place is None:
        return {}
    if place.is_list():
        named = [(name, item) for item in place.items() if (name := item.text()) is not None]
        return {name: "started" for name, item in named if there(item, name, services, off)}
    found: dict[str, Condition] = {}
    for name, item in place.entries():
        if item.known(("condition", "restart", "required")) is None:
            continue
        required = not ((given := item.get("required")) and given.truth() is False)
        condition = item.get("condition")
        if condition is None:
            item.wrong("lacks its condition", f"It may be {', '.join(_CONDITIONS)}.")
            continue
        word = condition.one_of(_CONDITIONS)
        if not required and name not in services:
            continue
        if word is not None and there(item, name, services, off):
            found[name] = _CONDITIONS[word]
    return found


def read_restarts(place: Place | None) -> list[str]:
    """Services whose change or restart this one shall follow."""
    if place is None or place.is_list():
        return []
    return [
        name
        for name, item in place.entries()
        if (restart := item.get("restart")) is not None and restart.truth()
    ]


def start_order(waits: Mapping[str, Collection[str]]) -> tuple[list[str], list[str]]:
    """Services, each behind all that it waits for and else in the order given; and a cycle.

    The cycle is empty if there is none; else the order lacks who is in it, or waits for it.
    """
    order: list[str] = []
    left = {name: {other for other in others if other in waits} for name, others in waits.items()}
    while left:
        ready = next((name for name, others in left.items() if others <= set(order)), None)
        if ready is None:
            return order, _cycle(left)
        order.append(ready)
        del left[ready]
    return order, []


def there(
    place: Place, name: str, services: Collection[str], off: Mapping[str, Sequence[str]]
) -> bool:
    if name in services:
        return True
    if name in off:
        what = f"waits for {name}, which is left out: it is of the profile {', '.join(off[name])}"
        hint = f"Name the profile: --profile {off[name][0]}"
        place.wrong(what, hint, "compose.undefined")
        return False
    return defined(place, "service", name, services)


def _cycle(left: Mapping[str, Collection[str]]) -> list[str]:
    """One way round among those that all wait for another one of them."""
    way = [next(iter(left))]
    while True:
        after = next(name for name in left[way[-1]] if name in left)
        if after in way:
            return [*way[way.index(after) :], after]
        way.append(after)
