"""CPU and memory of running containers: from their cgroups, else from the runtime's streams."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from pathlib import Path

from anyio import fail_after

from agent.containers.cgroups import CgroupFiles, CgroupReading, find_cgroup
from agent.containers.connection import Connection
from agent.containers.inspection import Inspected
from agent.containers.stats import StatsStreams
from agent.containers.workers import Workers, WorkersBusyError
from agent.protocol.containers import ContainerFigures

log = logging.getLogger(__name__)

# Five files each: far under any limit on open files.
KEPT_OPEN = 100
READ_SECONDS = 2.0
FIRST_READING = "the first reading; the next one can tell"


class Figures:
    """Reads in one thread of its own: a cgroup file can block while the kernel adds up.

    Args:
        root: where /proc and /sys of the machine are.
    """

    def __init__(self, root: Path) -> None:
        self._worker = Workers("cgroups", count=1, waiting=2)
        self._cgroups = CgroupFigures(root)
        self._streams = StatsStreams()
        self._latest: dict[str, ContainerFigures] = {}

    async def read(
        self, running: Iterable[Inspected], connection: Connection | None
    ) -> tuple[ContainerFigures, ...]:
        """The figures of these containers, in their order. Never raises."""
        wanted = list(running)
        try:
            with fail_after(READ_SECONDS):
                found = await self._worker.run(lambda: self._cgroups.read(wanted))
        except (TimeoutError, WorkersBusyError):
            reason = f"the cgroup files took over {READ_SECONDS:g} s to read"
            found = {one.container.id: unknown(one.container.id, reason) for one in wanted}
        unseen = [one for one in wanted if one.container.id not in found]
        self._streams.follow(unseen, connection)
        for one in unseen:
            found[one.container.id] = self._streams.latest(one)
        self._latest = found
        return tuple(found[one.container.id] for one in wanted)

    def latest(self, container_id: str) -> ContainerFigures | None:
        """What was read last of a container."""
        return self._latest.get(container_id)

    async def stop(self) -> None:
        """Give the thread, the files and the streams back."""
        await self._streams.stop()
        try:
            with fail_after(READ_SECONDS):
                await self._worker.run(self._cgroups.close)
        except (TimeoutError, WorkersBusyError):
            log.warning("the cgroup files are still being read")
        self._worker.stop()


class CgroupFigures:
    """Figures from cgroup files. Blocks; to be used from one thread at a time."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._groups: dict[tuple[str, int | None], _Group | None] = {}

    def read(self, running: Iterable[Inspected]) -> dict[str, ContainerFigures]:
        """By container id; a container whose cgroup cannot be seen is left out."""
        found = {}
        wanted = {(one.container.id, one.pid): one for one in running}
        for gone in [key for key in self._groups if key not in wanted]:
            self._drop(gone)
        for key, one in wanted.items():
            if key not in self._groups:
                self._groups[key] = self._find(one)
            group = self._groups[key]
            figures = group.figures() if group else None
            if figures is not None:
                found[one.container.id] = figures
        return found

    def close(self) -> None:
        """Close all files."""
        for key in list(self._groups):
            self._drop(key)

    def _find(self, one: Inspected) -> _Group | None:
        if len(self._groups) >= KEPT_OPEN:
            return None
        try:
            place = find_cgroup(self._root, one.container.id, one.pid)
            return _Group(one.container.id, CgroupFiles(place)) if place else None
        except OSError as error:
            log.info("no cgroup files of container %.12s: %s", one.container.id, error)
            return None

    def _drop(self, key: tuple[str, int | None]) -> None:
        group = self._groups.pop(key)
        if group is not None:
            group.files.close()


class _Group:
    def __init__(self, container_id: str, files: CgroupFiles) -> None:
        self._id, self.files = container_id, files
        self._before: tuple[int, int] | None = None  # cpu_ns, at which monotonic ns

    def figures(self) -> ContainerFigures:
        at = time.monotonic_ns()
        try:
            reading = self.files.read()
        except (OSError, ValueError) as error:
            # It ends just now, and the runtime's event is on its way.
            return unknown(self._id, f"its cgroup cannot be read: {error}")
        before, self._before = self._before, (reading.cpu_ns, at)
        cpu = None
        if before is not None and at > before[1] and reading.cpu_ns >= before[0]:
            cpu = 100 * (reading.cpu_ns - before[0]) / (at - before[1])
        return _of_reading(self._id, reading, cpu)


def unknown(container_id: str, reason: str) -> ContainerFigures:
    """Figures that could not be read."""
    return ContainerFigures(
        id=container_id,
        unknown={"cpu_percent": reason, "memory_used_bytes": reason, "process_count": reason},
    )


def _of_reading(container_id: str, reading: CgroupReading, cpu: float | None) -> ContainerFigures:
    reasons = {}
    if cpu is None:
        reasons["cpu_percent"] = FIRST_READING
    if reading.process_count is None:
        reasons["process_count"] = "there is no pids controller"
    return ContainerFigures(
        id=container_id,
        cpu_percent=cpu,
        memory_used_bytes=reading.memory_used_bytes,
        memory_limit_bytes=reading.memory_limit_bytes,
        process_count=reading.process_count,
        unknown=reasons,
    )
