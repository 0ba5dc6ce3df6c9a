"""A container runtime that is not there, for simulated nodes: thousands fit into one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from itertools import count
from random import Random
from typing import Any, Literal

import msgspec

from agent.containers import simulated_containers, simulated_logs
from agent.containers.container_problems import conflict, not_running
from agent.containers.inspection import RUNNING
from agent.containers.log_request import LogRequest
from agent.containers.naming import find
from agent.containers.simulated_images import SimulatedImages
from agent.containers.simulated_shell import SimulatedExec, SimulatedShell
from agent.protocol.containers import (
    LOG_LINE_LIMIT_BYTES,
    Container,
    ContainerChange,
    ContainerDetails,
    ContainerFigures,
    ExecRequest,
    LogLine,
)
from agent.protocol.images import NodeImage
from agent.protocol.node import RuntimeFacts
from agent.protocol.problems import ProblemError
from agent.rules.chance import repeatable

BATCH_LINES = 500
# How soon a follower of a log sees that its container was stopped.
FOLLOW_SECONDS = 1.0


class InMemoryRuntime(SimulatedImages):
    """See `runtime.ContainerRuntime`. No thread, no task, nothing happens by itself.

    Args:
        facts: what it says of itself; its state becomes "simulated".
        containers, images: as the node starts with them.
        figures: what a running container uses; where None, a random walk that `tick` moves.
        nvidia_smi: what `nvidia-smi -L` prints inside a container; None: not installed there.
        now: Unix seconds, for logs and for when containers are started and stopped.
        seed: another seed, other logs and another walk.
    """

    def __init__(
        self,
        facts: RuntimeFacts,
        containers: Iterable[Container],
        *,
        images: Iterable[NodeImage] = (),
        figures: Callable[[Container], ContainerFigures] | None = None,
        nvidia_smi: Callable[[Container], str | None] = lambda _: None,
        now: Callable[[], float] = time.time,
        seed: str = "",
    ) -> None:
        super().__init__(self._reachable, images, now)
        self._facts = msgspec.structs.replace(facts, state="simulated")
        self._containers: Mapping[str, Container] = {one.id: one for one in containers}
        self._figures, self._nvidia_smi = figures, nvidia_smi
        self._now, self._seed = now, seed
        self._walk: dict[str, ContainerFigures] = {}
        self._callbacks: list[Callable[[], None]] = []
        self._exec_numbers = count(1)
        self._bodies: dict[str, Mapping[str, Any]] = {}  # of those that were made here
        self._networks: set[str] = set()
        self._made = count(1)
        self._away: str | None = None
        self._losses = 0

    # What a simulation does to it

    def tick(self, now: float) -> None:
        """One step of the random walk. `now` is Unix seconds, and seeds the step."""
        chance = repeatable(f"{self._seed}/{now}")
        self._walk = {
            one: _step(self._walk.get(one), one, chance) for one in sorted(self._containers)
        }

    def set_away(self, reason: str | None) -> None:
        """The runtime stops answering, for this reason; None: it is back."""
        if reason != self._away:
            self._losses += self._away is None
            self._away = reason
            self._tell()

    def put(self, container: Container) -> None:
        """Take in a container, a new one or instead of the one with its id."""
        self._containers = {**self._containers, container.id: container}
        self._tell()

    def remove(self, container_id: str) -> None:
        """A container is removed."""
        self._containers = {
            one: container for one, container in self._containers.items() if one != container_id
        }
        self._tell()

    def environment_of(self, container_id: str) -> list[str]:
        """What a container was made with: NAME=VALUE."""
        body = self._bodies.get(container_id) or {}
        return [str(each) for each in body.get("Env") or []]

    # runtime.ContainerRuntime

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to give back."""

    async def facts(self) -> RuntimeFacts:
        """What it was given, or that it is away."""
        if self._away is not None:
            return msgspec.structs.replace(self._facts, state="unreachable", reason=self._away)
        return self._facts

    def containers(self) -> Mapping[str, Container]:
        """The containers by id; another mapping after every change."""
        return self._containers if self._away is None else {}

    @property
    def losses(self) -> int:
        """How often it went away."""
        return self._losses

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` after every change."""
        self._callbacks.append(callback)

    async def figures(self) -> tuple[ContainerFigures, ...]:
        """What every running container uses."""
        return tuple(
            self._figures_of(one) for one in self.containers().values() if one.state in RUNNING
        )

    async def details(self, name: str) -> ContainerDetails:
        """One container, with as little beside as is simulated."""
        container = self._find(name)
        return ContainerDetails(
            container=container,
            figures=self._figures_of(container) if container.state in RUNNING else None,
            environment_names=["NVIDIA_VISIBLE_DEVICES"] if container.gpus else [],
        )

    async def act(
        self,
        name: str,
        action: Literal["start", "stop", "restart"],
        *,
        timeout_seconds: int | None = None,
    ) -> ContainerChange:
        """Change the record at once."""
        del timeout_seconds  # a simulated container stops when it is told to
        before = self._find(name)
        running = before.state in RUNNING
        if (action == "start" and running) or (action == "stop" and not running):
            return ContainerChange(action=action, container=before, changed=False)
        now = self._now()
        if action == "stop":
            after = msgspec.structs.replace(
                before, state="exited", exit_code=0, finished_at=now, health="none"
            )
        else:
            after = msgspec.structs.replace(
                before,
                state="running",
                exit_code=None,
                started_at=now,
                finished_at=now if running else before.finished_at,
            )
        self.put(after)
        return ContainerChange(action=action, container=after, changed=True)

    async def logs(
        self,
        name: str,
        *,
        follow: bool,
        since: str | None = None,
        until: str | None = None,
        tail: int | None = None,
        line_limit_bytes: int = LOG_LINE_LIMIT_BYTES,
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        """Lines that say that they are simulated; the first batch is empty."""
        asked = LogRequest.parse(
            follow=follow, since=since, until=until, tail=tail, now=self._now()
        )
        del line_limit_bytes  # none is that long
        container = self._find(name)
        yield ()
        numbers = simulated_logs.line_numbers(
            container, now=self._now(), since=asked.since, until=asked.until, tail=tail
        )
        for first in range(numbers.start, numbers.stop, BATCH_LINES):
            some = range(first, min(first + BATCH_LINES, numbers.stop))
            yield list(simulated_logs.lines(container, some, seed=self._seed))
        following = numbers.stop
        while follow and self._find(container.id) is container and container.state in RUNNING:
            written = simulated_logs.line_numbers(container, now=self._now(), until=asked.until)
            if written.stop > following:
                some = range(max(following, written.start), written.stop)
                yield list(simulated_logs.lines(container, some, seed=self._seed))
                following = written.stop
            await asyncio.sleep(FOLLOW_SECONDS)

    async def exec(self, name: str, request: ExecRequest) -> SimulatedExec:
        """A shell that knows a few words."""
        container = self._find(name)
        if container.state != "running":
            raise not_running(container.name, container.state)
        shell = SimulatedShell(hostname=container.id[:12], nvidia_smi=self._nvidia_smi(container))
        return SimulatedExec(f"simulated-{next(self._exec_numbers)}", request, shell)

    async def inspect(self, name: str) -> Mapping[str, Any]:
        """As much as is simulated."""
        container = self._find(name)
        return simulated_containers.answer(container, self._body_of(container))

    async def create_container(
        self, name: str, body: Mapping[str, Any], networks: Mapping[str, Mapping[str, Any]]
    ) -> str:
        """A record; its id."""
        del networks
        self._check_name_free(name)
        image = await self.image(str(body.get("Image") or ""))
        container = simulated_containers.made(
            name, body, number=next(self._made), image_id=image.id, now=self._now()
        )
        self._bodies[container.id] = body
        self.put(container)
        return container.id

    async def rename_container(self, container_id: str, name: str) -> None:
        """Change the record."""
        container = self._find(container_id)
        if container.name != name:
            self._check_name_free(name)
            self.put(msgspec.structs.replace(container, name=name))

    async def remove_container(self, container_id: str) -> None:
        """Forget it; a running one stays."""
        container = self._reachable().get(container_id)
        if container is not None and container.state in RUNNING:
            raise conflict(f"container {container.name} is {container.state}", container.name)
        self._bodies.pop(container_id, None)
        self.remove(container_id)

    async def signal_container(self, container_id: str, signal: str) -> None:
        """A simulated process ends at once, whatever the signal."""
        del signal
        if container_id in self._reachable():
            await self.act(container_id, "stop")

    async def discard_container(self, container_id: str) -> None:
        """Forget it, running or not."""
        await self.signal_container(container_id, "SIGKILL")
        await self.remove_container(container_id)

    async def set_restart_policy(self, container_id: str, policy: Mapping[str, Any]) -> None:
        """Change what `inspect` answers."""
        container = self._find(container_id)
        body = self._body_of(container)
        host = {**(body.get("HostConfig") or {}), "RestartPolicy": dict(policy)}
        self._bodies[container.id] = {**body, "HostConfig": host}

    async def run_health_check(self, container_id: str) -> None:
        """Simulated ones are as healthy as they are."""
        self._find(container_id)

    async def labelled(self, label: str) -> list[str]:
        """Ids, newest first."""
        key, _, value = label.partition("=")
        found = [one for one in self._reachable().values() if one.labels.get(key) == value]
        return [one.id for one in sorted(found, key=lambda one: -one.created_at)]

    async def changed_paths(self, container_id: str) -> list[str]:
        """There are no files."""
        self._find(container_id)
        return []

    async def image_environment(self, image: str) -> list[str]:
        """Simulated images give none."""
        await self.image(image)
        return []

    async def has_network(self, name: str) -> bool:
        """Whether it was made."""
        return name in self._networks

    async def volume_options(self, name: str) -> Mapping[str, str] | None:
        """Volumes are not simulated: any is there, with nothing said of it."""
        del name
        return {}

    async def ensure_network(self, name: str, settings: Mapping[str, Any]) -> bool:
        """Remember the name."""
        del settings
        new = name not in self._networks
        self._networks.add(name)
        return new

    def _body_of(self, container: Container) -> Mapping[str, Any]:
        return self._bodies.get(container.id) or simulated_containers.body_of(container)

    def _check_name_free(self, name: str) -> None:
        if any(one.name == name for one in self._reachable().values()):
            raise conflict(f"the name {name} is in use", name)

    def _reachable(self) -> Mapping[str, Container]:
        if self._away is not None:
            raise ProblemError("runtime.unreachable", self._away, hint="It is simulated.")
        return self._containers

    def _find(self, name: str) -> Container:
        return find(name, self._reachable())

    def _figures_of(self, container: Container) -> ContainerFigures:
        if self._figures is not None:
            return self._figures(container)
        if container.id not in self._walk:
            self.tick(self._now())
        return self._walk[container.id]

    def _tell(self) -> None:
        for callback in self._callbacks:
            callback()


def _step(before: ContainerFigures | None, container_id: str, chance: Random) -> ContainerFigures:
    if before is None or before.cpu_percent is None or before.memory_used_bytes is None:
        return ContainerFigures(
            id=container_id,
            cpu_percent=chance.uniform(5, 80),
            memory_used_bytes=chance.randrange(64, 2048) * 1024 * 1024,
            process_count=chance.randrange(1, 30),
        )
    return msgspec.structs.replace(
        before,
        cpu_percent=min(400.0, max(0.1, before.cpu_percent * chance.uniform(0.9, 1.1))),
        memory_used_bytes=int(before.memory_used_bytes * chance.uniform(0.99, 1.01)),
    )
