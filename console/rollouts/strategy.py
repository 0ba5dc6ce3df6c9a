"""How a release goes out: `x-roost.rollout` of its Compose file, with careful defaults.

A release goes to one node first, then to a tenth of them, then to the rest. Of what the facts page
on rollouts tells: a node's failure is never tolerated unless somebody says so, the wave that it is
in comes back, and a node counts as available again once it has been well for a minute.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from agent.protocol.deployments import CONFIRM_WITHIN_SECONDS
from console.rollouts.judging.analysis import Analysis
from console.rollouts.notices import Target
from console.rollouts.windows import Window

Gate = Literal["auto", "manual", "approval"]
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


class PerGroup(msgspec.Struct, frozen=True):
    """So many of the nodes that have the same value of a label; those without it are one group."""

    label: str
    amount: Amount

    def __str__(self) -> str:
        return f"{self.amount} of each {self.label}"


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


class Deadlines(msgspec.Struct, kw_only=True, frozen=True):
    """How long a node may take in a state, seconds; what follows when it takes longer."""

    prepare: float = 4 * 3600.0  # it cannot take the release
    apply: float = 3600.0  # to run it, and to get to a weight: it goes back
    judge: float = 3600.0  # beyond the soak: a person is asked
    confirm: float = 900.0  # it goes back
    revert: float = 900.0  # a person is needed there


class Strategy(msgspec.Struct, kw_only=True, frozen=True):
    """Times in seconds."""

    waves: tuple[Wave, ...] = (Wave(nodes=1), Wave(percent=10))  # what is left is the last one
    weights: tuple[int, ...] = (10, 50, 100)  # percent of requests, where the node splits them
    soak: float = 300.0  # how long a wave is watched, at each weight, once all of it runs
    min_healthy: float = 60.0  # that a node must have been well for, to count as available again
    max_unavailable: Amount = Amount(percent=10)  # that change at a time
    max_unavailable_per: tuple[PerGroup, ...] = ()  # each of them holds, too
    failures: Amount = Amount(count=0)  # that are tolerated, in the whole rollout
    gate: Gate = "auto"  # manual: somebody promotes each wave; approval: somebody else does
    window: Window | None = None  # in which nodes may begin to change
    deadline: Deadlines = Deadlines()
    confirm_within: float = CONFIRM_WITHIN_SECONDS
    catch_up: float = 7 * 86400.0  # for so long a node that was offline may still get it
    on_failure: OnFailure = "revert-wave"
    analysis: Analysis = Analysis()  # what each node's candidate is judged by
    notify: tuple[Target, ...] = ()  # who is told of what happens

    @property
    def judges(self) -> bool:
        """Whether nodes are judged by anything but their own probes."""
        return bool(self.analysis.conditions)

    def tolerated(self, nodes: int) -> int:
        """How many nodes may fail; a share counts from the fifth node on."""
        if self.failures.percent is not None and nodes < SHARE_COUNTS_FROM:
            return 0
        return self.failures.of(nodes, least=0)

    def at_once(self, nodes: int) -> int:
        """How many nodes may change at a time."""
        return max(1, self.max_unavailable.of(nodes, least=1))
