"""The deployment machine over a node in memory: what it shows, and what it puts up with."""

from __future__ import annotations

from collections.abc import Mapping

from agent.traffic.simulated import SimulatedTraffic
from agent.traffic.state import SlotName, Target
from tests.agent.workloads.memory_side import MemorySide, memory_side


class SeenTraffic(SimulatedTraffic):
    """Remembers which weight the node showed while a proxy was told another one."""

    def __init__(self) -> None:
        super().__init__()
        self.side: MemorySide | None = None
        self.told: list[tuple[int, int | None]] = []  # told, and what was shown then

    async def put(self, workload: str, targets: Mapping[SlotName, Target]) -> None:
        candidate = targets.get("candidate")
        if self.side is not None and candidate is not None:
            self.told.append((candidate.weight, self.side.record.shown.weight))
        await super().put(workload, targets)


async def test_a_weight_is_shown_once_it_holds() -> None:
    traffic = SeenTraffic()
    async with memory_side(traffic=traffic) as side:
        traffic.side = side
        deployment = await side.steered("v1")
        await side.workloads.deployments.confirm(deployment)
        assert (await side.reaches("done", "reverted", "stuck")).weight == 100
    # At first none; then nothing for the new one, which is shown as such; then all of it.
    told = [each for each in traffic.told if each[0] != each[1]]
    assert told[0] == (0, None)
    assert told[-1] == (100, 0)
