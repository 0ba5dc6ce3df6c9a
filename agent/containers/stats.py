"""Figures from the runtime's own streams, for containers whose cgroup cannot be seen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import msgspec

from agent.containers.api_stream import StreamBrokenError, StreamRefusedError
from agent.containers.connection import Connection
from agent.containers.inspection import Inspected
from agent.containers.moments import rfc3339_nanoseconds
from agent.protocol.containers import ContainerFigures
from agent.protocol.decoding import decoder_of
from agent.protocol.problems import ProblemError

log = logging.getLogger(__name__)

STREAMS_MOST = 64
RETRY_SECONDS = 10.0
STATS_LIMIT_BYTES = 256 * 1024


class _CpuUsage(msgspec.Struct):
    total_usage: int = 0


class _Cpu(msgspec.Struct):
    cpu_usage: _CpuUsage = msgspec.field(default_factory=_CpuUsage)


class _MemoryStats(msgspec.Struct):
    inactive_file: int | None = None  # cgroup v2
    total_inactive_file: int | None = None  # cgroup v1


class _Memory(msgspec.Struct):
    usage: int | None = None
    stats: _MemoryStats | None = None


class _Pids(msgspec.Struct):
    current: int | None = None


class Stats(msgspec.Struct):
    """What is used of one answer of `/containers/{id}/stats`."""

    read: str = ""
    cpu_stats: _Cpu = msgspec.field(default_factory=_Cpu)
    memory_stats: _Memory = msgspec.field(default_factory=_Memory)
    pids_stats: _Pids = msgspec.field(default_factory=_Pids)


def figures_of(
    container_id: str, now: Stats, before: Stats | None, *, memory_limit_bytes: int | None
) -> ContainerFigures:
    """Figures from two answers, the way `docker stats` counts memory.

    Podman gives its `usage` without the page cache's inactive part already counted off, and no
    `stats` to do it with.
    """
    reasons = {}
    cpu = _cpu_percent(now, before)
    if cpu is None:
        reasons["cpu_percent"] = "the first reading; the next one can tell"
    used, stats = now.memory_stats.usage, now.memory_stats.stats
    if used is None:
        reasons["memory_used_bytes"] = "the runtime does not tell"
    elif stats is not None:
        cache = stats.total_inactive_file
        cache = stats.inactive_file if cache is None else cache
        used = used - cache if cache is not None and cache < used else used
    if now.pids_stats.current is None:
        reasons["process_count"] = "the runtime does not tell"
    return ContainerFigures(
        id=container_id,
        cpu_percent=cpu,
        memory_used_bytes=used,
        memory_limit_bytes=memory_limit_bytes,
        process_count=now.pids_stats.current,
        unknown=reasons,
    )


def _cpu_percent(now: Stats, before: Stats | None) -> float | None:
    if before is None:
        return None
    until, since = rfc3339_nanoseconds(now.read), rfc3339_nanoseconds(before.read)
    if until is None or since is None or until <= since:
        return None
    used = now.cpu_stats.cpu_usage.total_usage - before.cpu_stats.cpu_usage.total_usage
    return 100 * used / (until - since) if used >= 0 else None


class StatsStreams:
    """One stream per container that is followed. Docker sends every second, Podman every five."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._latest: dict[str, ContainerFigures] = {}
        self._trouble: dict[str, str] = {}
        self._connection: Connection | None = None

    def follow(self, wanted: Iterable[Inspected], connection: Connection | None) -> None:
        """Follow these containers and no others."""
        by_id = {one.container.id: one for one in wanted} if connection else {}
        if connection is not self._connection:
            self._connection = connection
            for container_id in list(self._tasks):
                self._end(container_id)
        for container_id in [one for one in self._tasks if one not in by_id]:
            self._end(container_id)
        if connection is None:
            return
        for container_id, one in by_id.items():
            if container_id not in self._tasks and len(self._tasks) < STREAMS_MOST:
                self._tasks[container_id] = asyncio.create_task(self._follow(connection, one))

    def latest(self, one: Inspected) -> ContainerFigures:
        """What the stream last said of a container."""
        container_id = one.container.id
        if container_id in self._latest:
            return self._latest[container_id]
        reason = self._trouble.get(container_id, "no figures have come from the runtime yet")
        if container_id not in self._tasks:
            reason = f"its cgroup cannot be seen, and {STREAMS_MOST} are followed already"
        names = ("cpu_percent", "memory_used_bytes", "process_count")
        return ContainerFigures(id=container_id, unknown=dict.fromkeys(names, reason))

    async def stop(self) -> None:
        """End all streams."""
        tasks = list(self._tasks.values())
        for container_id in list(self._tasks):
            self._end(container_id)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, container_id: str) -> None:
        self._tasks.pop(container_id).cancel()
        self._latest.pop(container_id, None)
        self._trouble.pop(container_id, None)

    async def _follow(self, connection: Connection, one: Inspected) -> None:
        container_id = one.container.id
        while True:
            try:
                await self._read(connection, one)
            except (
                ProblemError,
                StreamRefusedError,
                StreamBrokenError,
                msgspec.DecodeError,
            ) as error:
                self._trouble[container_id] = f"the runtime's figures cannot be read: {error}"
            self._latest.pop(container_id, None)
            await asyncio.sleep(RETRY_SECONDS)

    async def _read(self, connection: Connection, one: Inspected) -> None:
        container_id = one.container.id
        decoder = decoder_of(Stats)
        before: Stats | None = None
        line = b""
        path = f"/containers/{container_id}/stats"
        async with connection.stream("GET", path, query={"stream": 1}) as stream:
            while pieces := await stream.read():
                *lines, line = (line + b"".join(piece.data for piece in pieces)).split(b"\n")
                for text in lines:
                    if not text.strip():
                        continue
                    now = decoder.decode(text)
                    self._latest[container_id] = figures_of(
                        container_id, now, before, memory_limit_bytes=one.memory_limit_bytes
                    )
                    before = now
                if len(line) > STATS_LIMIT_BYTES:
                    raise StreamBrokenError("an answer without end")
