"""What the sampler needs of anything that can read GPUs."""

from __future__ import annotations

from typing import Protocol

import msgspec

from agent.protocol.gpus import Gpu, GpuHealth, GpuProcess, GpuSample, GpuStack, XidEvent


class Inventory(msgspec.Struct, kw_only=True, frozen=True):
    """The stack and its GPUs, as they were when last looked at."""

    stack: GpuStack
    gpus: tuple[Gpu, ...] = ()


class Reading(msgspec.Struct, kw_only=True, frozen=True):
    """One look at all GPUs. `samples` has one entry per GPU of the inventory."""

    samples: tuple[GpuSample, ...] = ()
    processes: tuple[GpuProcess, ...] = ()


class GpuSource(Protocol):
    """A reader of GPUs. No method raises, none takes longer than its watchdog allows.

    What cannot be read comes back as None with a reason; what is broken as a state.
    """

    async def start(self) -> None:
        """Begin to read. A second call has no effect."""

    async def stop(self) -> None:
        """Give threads and handles back, also when a call hangs."""

    async def inventory(self) -> Inventory:
        """Driver, GPUs and MIG layout. Cheap when nothing changed."""

    async def read(self) -> Reading:
        """Current figures and processes of every GPU."""

    async def health(self) -> tuple[GpuHealth, ...]:
        """Slow counters of every GPU."""

    def take_xids(self) -> list[XidEvent]:
        """XID events since the last call, oldest first."""
