"""The driver's error reports of nodes with faults. Codes and texts as NVIDIA's list has them."""

from __future__ import annotations

from collections.abc import Sequence

from agent.gpu.simulated import SimulatedGpu
from agent.protocol.gpus import Gpu, XidEvent
from agent.simulation.plan import NodePlan

LOST = (79, "GPU has fallen off the bus.")
LOST_BEFORE_START_SECONDS = 200
STORM = (
    (13, "Graphics SM Warp Exception: Out Of Range Address"),
    (31, "MMU Fault: ENGINE GRAPHICS faulted, Fault is of type FAULT_PDE ACCESS_TYPE_READ"),
    (43, "Reset Channel Verif Error"),
)
STORM_EVERY_SECONDS = 15


class SimulatedXids:
    """A lost GPU was reported once; a storm goes on, and did before the start.

    Args:
        start: The node's first second, Unix time.
    """

    def __init__(self, plan: NodePlan, gpus: Sequence[SimulatedGpu], *, start: int) -> None:
        self._storms = [each.gpu for each in gpus if plan.fault == "xid-storm"]
        self._lost = [each.gpu for each in gpus if each.lost]
        self._lost_at = start - LOST_BEFORE_START_SECONDS

    def between(self, before: int, until: int) -> list[XidEvent]:
        """After one second and until another."""
        events = [
            _event(gpu, *LOST, at=self._lost_at)
            for gpu in self._lost
            if before < self._lost_at <= until
        ]
        numbers = range(before // STORM_EVERY_SECONDS + 1, until // STORM_EVERY_SECONDS + 1)
        for gpu in self._storms:
            events += [
                _event(gpu, *STORM[number % len(STORM)], at=number * STORM_EVERY_SECONDS)
                for number in numbers
            ]
        return events


def _event(gpu: Gpu, code: int, text: str, *, at: int) -> XidEvent:
    return XidEvent(
        code=code,
        at=float(at),
        gpu_uuid=gpu.uuid,
        pci_bus_id=gpu.pci_bus_id,
        text=f"{text} (simulated)",
    )
