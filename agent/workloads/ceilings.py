"""Containers that use more GPU memory than their workload may: counted, so that none flaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.protocol.gpus import GpuProcess

# In a row; samples are a second apart. A framework that starts up peaks for a moment.
SAMPLES = 5

OnGpu = tuple[str, str]  # container id; UUID of the GPU or the MIG slice


class CeilingWatch:
    """Feed it with every sample. What is over its ceiling stays so until it is below for a while.

    What a process uses on a GPU may not be told: then the rest of its container counts, which can
    say "over" and never "below".
    """

    def __init__(self) -> None:
        self._over: dict[OnGpu, int] = {}  # bytes used when it was told
        self._against: dict[OnGpu, int] = {}

    def add(self, processes: Iterable[GpuProcess], ceilings: Mapping[str, int]) -> bool:
        """Take one moment's processes; whether anything is told otherwise than before.

        Args:
            ceilings: bytes on each GPU, by container id.
        """
        if not ceilings and not self._over:
            return False
        used, unknown = _used(processes, ceilings)
        before = set(self._over)
        for place in {*used, *self._over}:
            self._count(
                place, used.get(place, 0), ceilings.get(place[0]), all_told=place not in unknown
            )
        self._against = {
            place: count for place, count in self._against.items() if place in {*used, *self._over}
        }
        return set(self._over) != before

    def over(self, container: str) -> dict[str, int]:
        """Bytes used, by GPU or MIG slice on which the container is over its ceiling."""
        return {gpu: used for (one, gpu), used in self._over.items() if one == container}

    def _count(self, place: OnGpu, used: int, ceiling: int | None, *, all_told: bool) -> None:
        told = place in self._over
        if ceiling is None:  # it has none any more, or is no workload's any more
            self._over.pop(place, None)
            return
        over = used > ceiling
        against = (not over and all_told) if told else over
        self._against[place] = self._against.get(place, 0) + 1 if against else 0
        if self._against[place] < SAMPLES:
            return
        self._against[place] = 0
        if told:
            del self._over[place]
        else:
            self._over[place] = used


def _used(
    processes: Iterable[GpuProcess], ceilings: Mapping[str, int]
) -> tuple[dict[OnGpu, int], set[OnGpu]]:
    """Bytes by place, and the places where some process does not tell."""
    used: dict[OnGpu, int] = {}
    unknown: set[OnGpu] = set()
    for process in processes:
        if process.container not in ceilings or process.container is None:
            continue
        place = (process.container, process.mig_uuid or process.gpu_uuid)
        used[place] = used.get(place, 0) + (process.memory_used_bytes or 0)
        if process.memory_used_bytes is None:
            unknown.add(place)
    return used, unknown
