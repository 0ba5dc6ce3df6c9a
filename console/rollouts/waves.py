"""Which node is in which wave: worked out once, when a rollout is planned, and kept."""

from __future__ import annotations

import math
from collections.abc import Sequence

from agent.protocol.problems import ProblemError
from console.fleet.inventory import NodeEntry
from console.fleet.selectors import parse_selector
from console.rollouts.strategy import Wave


def freeze(nodes: Sequence[NodeEntry], waves: Sequence[Wave]) -> list[list[str]]:
    """Names by wave, each node once, in the fleet's order; those left over are the last wave.

    Raises:
        ProblemError: `rollout.waves`: a wave would have no node, or more than there are;
            `fleet.selector`.
    """
    left = list(nodes)
    found: list[list[str]] = []
    for number, wave in enumerate(waves, 1):
        if not left:
            break  # a small fleet is through sooner
        taken = _taken(left, wave, len(nodes), number)
        names = {node.name for node in taken}
        left = [node for node in left if node.name not in names]
        found.append([node.name for node in taken])
    if left:
        found.append([node.name for node in left])
    return found


def _taken(left: list[NodeEntry], wave: Wave, total: int, number: int) -> list[NodeEntry]:
    if wave.selector is not None:
        selector = parse_selector(wave.selector)
        taken = [node for node in left if selector.matches(node.name, node.labels)]
        if not taken:
            raise _wrong(number, f"no node that is left has {wave.selector}")
        return taken
    if wave.percent is not None:
        return left[: max(1, math.floor(total * wave.percent / 100))]
    count = wave.nodes or 0
    if count > len(left):
        raise _wrong(number, f"it wants {count} nodes, and {len(left)} are left")
    return left[:count]


def _wrong(number: int, what: str) -> ProblemError:
    return ProblemError(
        "rollout.waves",
        f"wave {number}: {what}",
        params={"wave": number},
        hint="Change waves under x-roost.rollout, or the selector.",
    )
