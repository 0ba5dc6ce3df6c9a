"""How a release goes out: `x-roost.rollout` of its Compose file, with careful defaults.

A release goes to one node first, then to a tenth of them, then to the rest. Of what the facts page
on rollouts tells: a node's failure is never tolerated unless somebody says so, and the wave that it
is in comes back.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.protocol.deployments import CONFIRM_WITHIN_SECONDS
from console.rollouts.judging.analysis import Analysis

Gate = Literal["auto", "manual"]
OnFailure = Literal["revert-wave", "revert-all", "pause"]

# A share of a few nodes is no share: one early failure among four would be 25 % (facts: mikr).
SHARE_COUNTS_FROM = 5


class Amount(msgspec.Struct, frozen=True):
    """So many nodes, or such a share of them."""

    count: int | None = None
    percent: float | None = None

    def of(self, nodes: int, *, least: int) -> int:
        """Of so many nodes."""
        if self.percent is None:
            return self.count or 0
        return max(least, int(nodes * self.percent / 100))

    def __str__(self) -> str:
        return f"{self.count or 0}" if self.percent is None else f"{self.percent:g} %"


class Wave(msgspec.Struct, kw_only=True, frozen=True):
    """What a wave takes of the nodes that are in none before it; one of the three."""

    nodes: int | None = None
    percent: float | None = None  # of all nodes of the rollout
    selector: str | None = None

    def __str__(self) -> str:
        if self.selector is not None:
            return self.selector
        if self.percent is not None:
            return f"{self.percent:g} %"
        return "1 node" if self.nodes == 1 else f"{self.nodes} nodes"


class Strategy(msgspec.Struct, kw_only=True, frozen=True):
    """Times in seconds."""

    waves: tuple[Wave, ...] = (Wave(nodes=1), Wave(percent=10))  # what is left is the last one
    soak: float = 300.0  # how long a wave is watched once all of it runs
    max_unavailable: Amount = Amount(percent=10)  # that change at a time
    failures: Amount = Amount(count=0)  # that are tolerated, in the whole rollout
    gate: Gate = "auto"  # manual: somebody promotes each wave
    deadline: float = 3600.0  # for a node to run what it was given
    confirm_within: float = CONFIRM_WITHIN_SECONDS
    on_failure: OnFailure = "revert-wave"
    analysis: Analysis = Analysis()  # what each node's candidate is judged by

    def tolerated(self, nodes: int) -> int:
        """How many nodes may fail; a share counts from the fifth node on."""
        if self.failures.percent is not None and nodes < SHARE_COUNTS_FROM:
            return 0
        return self.failures.of(nodes, least=0)

    def at_once(self, nodes: int) -> int:
        """How many nodes may change at a time."""
        return max(1, self.max_unavailable.of(nodes, least=1))
