"""Proxies that are not there, for simulated nodes: weights are kept, no request is seen."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping

from agent.traffic.state import Bind, SlotName, Target
from agent.traffic.tally import ARMS
from agent.traffic.traffic import Window


class SimulatedTraffic:
    """See `traffic.Traffic`."""

    def __init__(self) -> None:
        self._targets: dict[str, Mapping[SlotName, Target]] = {}
        self._windows: dict[str, Window] = {}

    async def start(self) -> None:
        """Nothing to take up."""

    async def stop(self) -> None:
        """Nothing to give back."""

    async def ready(self) -> None:
        """Always."""

    async def check(self, workload: str, binds: frozenset[Bind]) -> None:
        """All ports are free."""

    async def put(self, workload: str, targets: Mapping[SlotName, Target]) -> None:
        """Keep it."""
        if targets == self._targets.get(workload, {}):
            return
        self._targets[workload] = dict(targets)
        shares = {name: targets[name].weight for name in ARMS if name in targets}
        whole = sum(shares.values())
        self._windows[workload] = Window(
            id=secrets.token_hex(6),
            since=time.time(),
            weight=round(100 * shares.get("candidate", 0) / whole) if whole else 0,
            arms={},
            unknown="the node is simulated, and has no requests",
            modes={
                port: mode for each in targets.values() for port, mode in each.front.by_port.items()
            },
        )
        if not targets:
            del self._targets[workload], self._windows[workload]

    async def targets(self, workload: str) -> Mapping[SlotName, Target]:
        """As they were put last."""
        return self._targets.get(workload, {})

    async def unreached(self, workload: str, slot: SlotName) -> str | None:
        """All containers are reached."""
        return None

    async def refuses(self, workload: str, slot: SlotName) -> str | None:
        """None does."""
        return None

    async def drain(self, workload: str, slot: SlotName) -> bool:
        """Nothing goes on."""
        return True

    def shown(self, workload: str) -> str:
        """Nothing runs."""
        return "simulated"

    async def wrong(self, workload: str) -> list[str]:
        """Nothing is wrong."""
        return []

    def figures(self, workload: str) -> Window | None:
        """No requests, and why."""
        return self._windows.get(workload)
