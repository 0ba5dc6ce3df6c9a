"""A machine that is not there: fixed facts, and figures under a simulated load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from agent.protocol.node import Disk, HostFacts, ToolkitFacts
from agent.protocol.telemetry import HostSample


class Load(Protocol):
    """How busy the processors are at any time, Unix seconds: 0 to 1."""

    def load(self, at: float) -> float: ...

    def heat(self, at: float) -> float:
        """Without what passes within seconds."""


class SimulatedHost:
    """A HostSource.

    Args:
        disk: The only one, with everything on it.
        memory_share: Of the memory, what is used at the busiest; 0 to 1.
        now: The simulation's time, Unix seconds.
    """

    def __init__(
        self,
        facts: HostFacts,
        toolkit: ToolkitFacts,
        disk: Disk,
        load: Load,
        *,
        memory_share: float,
        now: Callable[[], float],
    ) -> None:
        self._facts, self._toolkit, self._disk = facts, toolkit, disk
        self._load = load
        self._memory_share = memory_share
        self._now = now

    def facts(self) -> HostFacts:
        return self._facts

    def toolkit(self, cdi_dirs: Sequence[str]) -> ToolkitFacts:
        return self._toolkit

    def disks(self, *, runtime_dir: str | None) -> list[Disk]:
        return [self._disk]

    def sample(self) -> HostSample:
        return self.sample_at(self._now())

    def sample_at(self, at: float) -> HostSample:
        """The figures at any time, Unix seconds."""
        facts = self._facts
        load, heat = self._load.load(at), self._load.heat(at)
        used = facts.memory_total_bytes * self._memory_share * (0.8 + 0.2 * heat)
        return HostSample(
            cpu_percent=100 * load,
            memory_used_bytes=int(used),
            memory_total_bytes=facts.memory_total_bytes,
            swap_used_bytes=0,
            load_1min=facts.cpu_count * heat,
            disk_free_bytes={self._disk.path: self._disk.free_bytes},
        )
