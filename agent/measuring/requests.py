"""Where the requests of a workload's arms are known from: the proxy in front of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from agent.protocol.arms import ArmName, ConnectionFigures, RequestFigures
from agent.traffic.modes import unseen
from agent.traffic.traffic import Window

NO_PROXY = "no proxy stands in front of it: it is not weighted"
# Of all answers, the share that may lack without the rest telling something else.
LOST_SHARE = 0.01


class Requests(NamedTuple):
    """What is known of one workload. Another `window`: all of it began anew."""

    arms: Mapping[ArmName, RequestFigures] = {}
    window: str | None = None
    weight: int | None = None
    why: str = NO_PROXY  # an arm has none
    # What of its requests a proxy cannot see, and why: as in `Arm.unknown`. With "requests": all.
    unseen: Mapping[str, str] = {}
    connections: Mapping[ArmName, ConnectionFigures] = {}


# Of a workload, by name, with its stable and its candidate container.
RequestSource = Callable[[str, str | None, str | None], Requests]


def requests_of(window: Window | None) -> Requests:
    """From what a proxy saw."""
    if window is None:
        return Requests()
    found = Requests(window.arms, window.id, window.weight, "the proxy has no place for it")
    hidden = unseen(window.modes)
    found = found._replace(unseen=hidden, connections=window.connections)
    if "requests" in hidden:
        return found._replace(arms={}, why=hidden["requests"])
    if window.unknown is not None:
        return found._replace(arms={}, why=window.unknown)
    seen = sum(each.requests for each in window.arms.values())
    if window.lost > LOST_SHARE * (seen + window.lost):
        why = f"{window.lost} of {seen + window.lost} lines of the proxy's log did not come"
        return found._replace(arms={}, why=why)
    return found
