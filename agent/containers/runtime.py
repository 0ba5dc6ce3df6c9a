"""What the rest of the agent needs of a container runtime.

Two implementations: `docker_runtime.py` (Docker Engine and Podman through one socket) and
`in_memory.py` (simulated nodes).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Literal, Protocol

from agent.containers.images_runtime import ImageRuntime
from agent.containers.workload_runtime import WorkloadRuntime
from agent.protocol.containers import (
    LOG_LINE_LIMIT_BYTES,
    Container,
    ContainerChange,
    ContainerDetails,
    ContainerFigures,
    ExecExit,
    ExecOutput,
    ExecRequest,
    LogLine,
)
from agent.protocol.node import RuntimeFacts


class ExecSession(Protocol):
    """A command that runs in a container, with its streams."""

    id: str

    def output(self) -> AsyncIterator[ExecOutput | ExecExit]:
        """What it writes, then how it ended."""

    async def write(self, data: bytes) -> None:
        """Feed its standard input; waits while the command does not read."""

    async def close_input(self) -> None: ...

    async def resize(self, columns: int, rows: int) -> None: ...

    async def close(self) -> None:
        """Cut the connection, and end the command if it still runs and can be ended from here."""


class ContainerRuntime(ImageRuntime, Protocol):
    """A container runtime. Its socket may vanish and come back at any time.

    Methods that act or read one container raise ProblemError: `runtime.unreachable`,
    `runtime.permission`, `runtime.refused`, `container.not_found`, `container.ambiguous`,
    `container.not_running`, `container.conflict`, `exec.command`.
    A container is named by its id, an unambiguous start of it, or its name.
    """

    async def start(self) -> None:
        """Begin to follow the runtime. Does not wait for it to be there."""

    async def stop(self) -> None:
        """Give threads, streams and sockets back."""

    async def facts(self) -> RuntimeFacts:
        """Never raises: what is wrong is the state."""

    def containers(self) -> Mapping[str, Container]:
        """The containers by id as last known, kept current by the runtime's events.

        A record that did not change is the same object as before. Empty while unreachable.
        """

    @property
    def losses(self) -> int:
        """How often it was there, and was not any more. A call may wait until it is back, and so
        not tell: what ran may have ended with it."""

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` in the loop after `containers()` or the runtime's state changed."""

    async def figures(self) -> tuple[ContainerFigures, ...]:
        """CPU and memory of every running container. Never raises; cheap enough for 1 Hz."""

    async def details(self, name: str) -> ContainerDetails: ...

    async def act(
        self,
        name: str,
        action: Literal["start", "stop", "restart"],
        *,
        timeout_seconds: int | None = None,
    ) -> ContainerChange:
        """Start, stop or restart, then read back what became of it."""

    def logs(
        self,
        name: str,
        *,
        follow: bool,
        since: str | None = None,
        until: str | None = None,
        tail: int | None = None,
        line_limit_bytes: int = LOG_LINE_LIMIT_BYTES,
    ) -> AsyncGenerator[Sequence[LogLine], None]:
        """Lines in batches as they come. `since` is RFC 3339, Unix seconds, or "15m" ago.

        The first batch is empty and comes as soon as the runtime agreed, however silent the
        container is: what is wrong with the request is raised before it. Close the generator to
        end the stream. What of a line is over the limit is cut off, and told.
        """

    async def exec(self, name: str, request: ExecRequest) -> ExecSession: ...


class NodeRuntime(ContainerRuntime, WorkloadRuntime, Protocol):
    """All that a node needs of its runtime."""
