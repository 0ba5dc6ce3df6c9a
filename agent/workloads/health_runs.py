"""Health checks on Podman, which leaves it to systemd's timers to run them.

Under `podman system service` with no systemd above it nothing does: the status stays "starting"
(seen on 5.8.6). So while a deployment or a restart looks whether a container is well, the agent
has them run; `health_keeping` goes on with it where no systemd does. Where timers do it too, it is
looked more often than was said, no more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.containers.runtime import NodeRuntime
from agent.protocol.containers import Container
from agent.protocol.node import NodeFacts
from agent.workloads.podman import is_podman

# Podman's own, where nothing is said; a check that is due more often than this waits.
INTERVAL_SECONDS = 30.0
LEAST_SECONDS = 0.5
FORGET_SECONDS = 3600.0


class HealthRuns:
    """Runs the checks of one node's containers, each as often as it wants."""

    def __init__(
        self,
        runtime: NodeRuntime,
        facts: Callable[[], NodeFacts],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runtime, self._facts, self._clock = runtime, facts, clock
        self._due: dict[str, float] = {}  # by container id

    async def run(self, container: Container) -> Container:
        """The container as it is after its check, if that was due. Raises ProblemError."""
        if container.state != "running" or container.health == "none":
            return container
        if not is_podman(self._facts().runtime):
            return container
        now = self._clock()
        if now < self._due.get(container.id, now):
            return container
        self._due = {each: at for each, at in self._due.items() if at > now - FORGET_SECONDS}
        self._due[container.id] = now + await self._interval(container.id)
        await self._runtime.run_health_check(container.id)
        return (await self._runtime.details(container.id)).container

    async def _interval(self, container_id: str) -> float:
        config = (await self._runtime.inspect(container_id)).get("Config") or {}
        said = (config.get("Healthcheck") or {}).get("Interval")
        seconds = said / 1e9 if isinstance(said, int) and said > 0 else INTERVAL_SECONDS
        return max(seconds, LEAST_SECONDS)
