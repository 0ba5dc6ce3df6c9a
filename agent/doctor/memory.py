"""Which GPUs' memory is nearly full, so that a moment's peak is no finding and none flaps."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from agent.protocol.gpus import GpuSample

# Ours: a finding comes after so many samples in a row, and goes after so many below the line by
# a margin. Samples are a second apart.
SAMPLES = 5
MARGIN_PERCENT = 5.0


class MemoryLook(msgspec.Struct, kw_only=True, frozen=True):
    """The GPUs, by UUID, whose memory is used to `percent` and more. None: nobody wants to know."""

    percent: float | None = None
    high: frozenset[str] = frozenset()


class MemoryWatch:
    """Feed it with every sample."""

    def __init__(self, percent: float | None) -> None:
        self._percent = percent
        self._high: set[str] = set()
        self._against: dict[str, int] = {}  # samples in a row that speak against what is told

    def add(self, samples: Iterable[GpuSample]) -> None:
        """Take one moment's samples. A GPU that does not tell stays as it was."""
        if self._percent is None:
            return
        there = set()
        for sample in samples:
            there.add(sample.uuid)
            used = used_percent(sample)
            if used is not None:
                self._count(sample.uuid, used, self._percent)
        self._high &= there

    def look(self) -> MemoryLook:
        """What is told now."""
        return MemoryLook(percent=self._percent, high=frozenset(self._high))

    def _count(self, uuid: str, used: float, percent: float) -> None:
        high = uuid in self._high
        against = used < percent - MARGIN_PERCENT if high else used >= percent
        self._against[uuid] = self._against.get(uuid, 0) + 1 if against else 0
        if self._against[uuid] < SAMPLES:
            return
        self._against[uuid] = 0
        if high:
            self._high.discard(uuid)
        else:
            self._high.add(uuid)


def used_percent(sample: GpuSample) -> float | None:
    """Of its memory; None: not known."""
    if sample.memory_used_bytes is None or not sample.memory_total_bytes:
        return None
    return 100 * sample.memory_used_bytes / sample.memory_total_bytes
