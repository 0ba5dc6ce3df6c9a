"""Where workers run: on the node, or in a container of an image."""

from __future__ import annotations

import time

from agent.engines.container_executor import ContainerExecutor
from agent.engines.hearing import Hearing
from agent.engines.host_executor import HostExecutor, Looked
from agent.engines.worker_task import WorkerTask
from agent.protocol.engines import Executor
from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError

# What is only compared with may be as old.
REMEMBER_SECONDS = 60.0


class Executors:
    """Both kinds. `container` None: the node has no runtime that could be asked."""

    def __init__(self, host: HostExecutor, container: ContainerExecutor | None) -> None:
        self._host, self._container = host, container
        self._remembered: tuple[float, Looked | ProblemError] | None = None

    async def look(self, executor: Executor, image: str | None, gpu: str | None) -> Looked:
        """Which TensorRT builds there.

        Raises:
            ProblemError: `engine.no_tensorrt`, `engine.worker`; of a container also `image.*`,
                `runtime.*` and `gpu.*`.
        """
        if executor == "host":
            return await self._host.look(gpu)
        return await self._containers().look(image or "", gpu)

    async def run(self, task: WorkerTask, hearing: Hearing) -> None:
        """Do `task`; see the executors for what it raises."""
        if task.image is None:
            await self._host.run(task, hearing)
        else:
            await self._containers().run(task, hearing)

    async def image(self, reference: str) -> NodeImage:
        """Raises ProblemError `image.*`, `runtime.*`."""
        return await self._containers().image(reference)

    async def host(self, gpu: str | None) -> Looked:
        """As `look` on the node itself, up to a minute ago: cheap where there is none, too."""
        now = time.monotonic()
        if self._remembered is None or now - self._remembered[0] > REMEMBER_SECONDS:
            try:
                self._remembered = now, await self._host.look(gpu)
            except ProblemError as problem:
                self._remembered = now, problem
        found = self._remembered[1]
        if isinstance(found, ProblemError):
            raise found
        return found

    async def sweep(self) -> None:
        """Remove what an agent before left. Raises ProblemError `runtime.*`."""
        if self._container is not None:
            await self._container.sweep()

    def _containers(self) -> ContainerExecutor:
        if self._container is None:
            raise ProblemError(
                "runtime.unreachable",
                "there is no container runtime to build in",
                hint="Use executor: host.",
            )
        return self._container
