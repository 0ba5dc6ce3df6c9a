"""Health checks of workloads that run for good, on Podman where no systemd has them run.

Podman makes a timer of systemd's for each check. Where there is no systemd nobody runs it again
once its deployment is done, and what it said then would stand for ever: so the agent does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from agent.containers.runtime import NodeRuntime
from agent.host.real_paths import ROOT, below
from agent.protocol.containers import Container
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.workloads.health_runs import HealthRuns
from agent.workloads.podman import is_podman
from agent.workloads.records import WorkloadStore

# There exactly where systemd is what the machine was started by: sd_booted(3).
SYSTEMD = Path("/run/systemd/system")
EVERY_SECONDS = 1.0

log = logging.getLogger(__name__)


class HealthKeeper:
    """Has the checks of one node's workloads run, each as often as it wants."""

    def __init__(
        self,
        *,
        runtime: NodeRuntime,
        store: WorkloadStore,
        facts: Callable[[], NodeFacts],
        health: HealthRuns,
        root: Path = ROOT,
    ) -> None:
        """`root` is the machine's."""
        self._runtime, self._store, self._facts = runtime, store, facts
        self._health, self._root = health, root
        self._task: asyncio.Task[None] | None = None
        self._under_way: dict[str, asyncio.Task[None]] = {}  # by container id

    def start(self) -> None:
        """Begin; where systemd does it, that is all."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; a check that is under way goes on in the runtime."""
        tasks = [*self._under_way.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        if await asyncio.to_thread(below(SYSTEMD, self._root).is_dir):
            return
        while True:
            if is_podman(self._facts().runtime):
                self._look()
            await asyncio.sleep(EVERY_SECONDS)

    def _look(self) -> None:
        """One that takes long keeps no other one waiting."""
        containers = self._runtime.containers()
        self._under_way = {key: task for key, task in self._under_way.items() if not task.done()}
        for record in self._store.workloads():
            container = containers.get(record.stable or "")
            if container is not None and container.id not in self._under_way:
                self._under_way[container.id] = asyncio.create_task(self._one(container))

    async def _one(self, container: Container) -> None:
        try:
            await self._health.run(container)
        except ProblemError as problem:
            log.info("the health check of %s was not run: %s", container.name, problem.detail)
        except Exception:
            log.exception("the health check of %s was not run", container.name)
