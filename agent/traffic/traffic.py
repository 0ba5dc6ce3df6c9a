"""What the rest of the agent needs of the traffic of a node's weighted workloads.

Two implementations: `node_traffic.py` (HAProxy) and `simulated.py` (simulated nodes).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from agent.protocol.arms import ArmName, ConnectionFigures, RequestFigures
from agent.protocol.workloads import Mode
from agent.traffic.state import Bind, SlotName, Target

# How long requests that go on are waited for before what answers them is stopped.
DRAIN_SECONDS = 30.0


class Window(msgspec.Struct, kw_only=True, frozen=True):
    """What a proxy saw since one moment, in which the weight did not change.

    Requests that began before it are not in it. It begins anew when a weight or a container
    changes, when the proxy was started again, and when the agent starts.
    """

    id: str  # another one for each window
    since: float  # Unix seconds
    weight: int  # percent of new requests to the candidate
    arms: dict[ArmName, RequestFigures]  # of those that have a container
    # Lines of the log that did not come, by the proxy's own counters: `arms` lack so many answers.
    lost: int = 0
    unknown: str | None = None  # why nothing is known since; None: it is
    modes: dict[int, Mode] = {}  # of published ports that are not HTTP
    connections: dict[ArmName, ConnectionFigures] = {}  # of those, where any is TCP


class Traffic(Protocol):
    """The proxies of one node. Repeated, each method finds done what is done.

    All methods that act raise ProblemError `traffic.*` and `runtime.*`.
    """

    async def start(self) -> None:
        """Take up what a former agent left; begin to follow addresses."""

    async def stop(self) -> None:
        """Proxies go on without the agent."""

    async def ready(self) -> None:
        """Raises ProblemError `traffic.no_proxy`: nothing here could run a proxy."""

    async def check(self, workload: str, binds: frozenset[Bind]) -> None:
        """Whether its proxy has, or can get, these ports. Raises ProblemError `traffic.*`."""

    async def put(self, workload: str, targets: Mapping[SlotName, Target]) -> None:
        """Have its proxy run, with these containers and weights; empty: it is taken away.

        It is in the configuration file before the proxy is told, and read back after.
        """

    async def targets(self, workload: str) -> Mapping[SlotName, Target]:
        """As they were put last, also by a former agent; empty: it has no proxy."""

    async def unreached(self, workload: str, slot: SlotName) -> str | None:
        """Why the proxy does not reach the container in a slot; None: it does."""

    async def refuses(self, workload: str, slot: SlotName) -> str | None:
        """That nobody takes connections in a slot any more; None: not so, or it is not known."""

    async def drain(self, workload: str, slot: SlotName) -> bool:
        """Wait until nothing that a slot was given goes on; False: something still does."""

    def shown(self, workload: str) -> str:
        """What its proxy runs in, or would, for people."""

    async def wrong(self, workload: str) -> list[str]:
        """How its proxy differs from what is written, in words; empty also where it has none."""

    def figures(self, workload: str) -> Window | None:
        """What its proxy saw; None: it has none, or none is known yet."""
