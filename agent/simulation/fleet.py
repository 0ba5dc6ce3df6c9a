"""Many simulated nodes behind one application, each on a socket of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import final

import msgspec

from agent.http.caller import Listener
from agent.http.server import Servers
from agent.simulation.node import SimulatedNode
from agent.simulation.plan import Fault, NodePlan
from agent.simulation.wire import Mood, Wire

# Nodes take their second at different times of it, so that the loop has no long stops.
SLOTS_PER_SECOND = 20
FAULTY_WIRES: dict[Fault, Mood] = {
    "offline": "offline",
    "flapping": "flapping",
    "slow-link": "slow",
}

log = logging.getLogger(__name__)


class ListedNode(msgspec.Struct, kw_only=True):
    """A node as fleet.yaml lists it."""

    name: str
    address: str
    labels: dict[str, str]


class NodeList(msgspec.Struct, kw_only=True):
    """What `roost-agent simulate` prints when its nodes are up."""

    nodes: list[ListedNode]


@final
class SimulatedFleet:
    """Serves nodes while entered: `async with SimulatedFleet(plan_fleet(24), folder) as fleet`.

    Args:
        folder: Where the sockets go, as `<name>.sock`; made if it is not there.
        change: Of the nodes, the fraction whose figures change in a second; 0 to 1.
        wired: Put a wire before every node, so that any of them can `misbehave`; else only those
            with a fault of the wire have one.
        ticking: Let the time pass by itself. Else `step` does.
        clock: Unix seconds.
    """

    def __init__(
        self,
        plans: Sequence[NodePlan],
        folder: Path,
        *,
        change: float = 0.2,
        wired: bool = False,
        ticking: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._ticking = ticking
        now = int(clock())
        self.nodes = {plan.name: SimulatedNode(plan, change=change, at=now) for plan in plans}
        self.wires: dict[str, Wire] = {}
        for plan in plans:
            mood = FAULTY_WIRES.get(plan.fault, "clear") if plan.fault else "clear"
            if wired or mood != "clear":
                self.wires[plan.name] = Wire(
                    self.socket(plan.name), folder / f".{plan.name}.behind", mood
                )
        self._servers = Servers(grace_seconds=0)
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> SimulatedFleet:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    def socket(self, name: str) -> Path:
        """Where callers reach the node of that name."""
        return self._folder / f"{name}.sock"

    def address(self, name: str) -> str:
        """The same as fleet.yaml has it."""
        return f"unix://{self.socket(name)}"

    def listing(self) -> NodeList:
        """All nodes in the plan's order."""
        return NodeList(
            nodes=[
                ListedNode(name=name, address=self.address(name), labels=each.plan.labels)
                for name, each in self.nodes.items()
            ]
        )

    async def misbehave(self, name: str, mood: Mood) -> None:
        """Change what the wire to a node does. KeyError: it has no wire, see `wired`."""
        await self.wires[name].misbehave(mood)

    async def step(self, second: int | None = None) -> None:
        """Let every node live through one second, now unless said."""
        for each in self.nodes.values():
            await each.step(int(self._clock()) if second is None else second)

    async def wait(self) -> None:
        """Until the serving ends; it ends by itself only if it failed."""
        done, _ = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _start(self) -> None:
        for each in self.nodes.values():
            await each.start()
        await asyncio.to_thread(self._listen)
        for wire in self.wires.values():
            await wire.open()
        self._running.append(asyncio.create_task(self._servers.serve(until_signal=False)))
        if self._ticking:
            self._running.append(asyncio.create_task(self._tick(), name="simulated time"))

    def _listen(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, each in self.nodes.items():
            wire = self.wires.get(name)
            path = wire.target if wire else self.socket(name)
            self._servers.add_unix(path, Listener(each.node, f"unix:{name}.sock", "operator"))

    async def _stop(self) -> None:
        for wire in self.wires.values():
            await wire.close()
        self._servers.stop()
        for task in self._running[1:]:
            task.cancel()
        for task in self._running:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for each in self.nodes.values():
            await each.stop()

    async def _tick(self) -> None:
        nodes = list(self.nodes.values())
        slots = [nodes[slot::SLOTS_PER_SECOND] for slot in range(SLOTS_PER_SECOND)]
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            for slot in slots:
                second = int(self._clock())
                for each in slot:
                    await self._live(each, second)
                # Too many nodes for this machine: time passes, they skip seconds.
                due = max(due + 1 / SLOTS_PER_SECOND, loop.time())
                await asyncio.sleep(due - loop.time())

    async def _live(self, each: SimulatedNode, second: int) -> None:
        try:
            await each.step(second)
        except Exception:
            log.exception("the simulated node %s failed", each.plan.name)
