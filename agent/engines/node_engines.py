"""The engines of one node: what there is, and the job that builds."""

from __future__ import annotations

import asyncio
import builtins
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from agent.engines.build_job import BUILD, BuildKind
from agent.engines.host_executor import HostExecutor
from agent.engines.onnx_file import Digests
from agent.engines.store import EngineStore
from agent.jobs.jobs import Jobs
from agent.protocol.engines import BuildRequest, Engine
from agent.protocol.jobs import Job
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.rules.engine_keys import impossible

log = logging.getLogger(__name__)


class EnginePlace(msgspec.Struct, kw_only=True, frozen=True):
    """Where engines lie, and what builds them."""

    folder: Path
    pythons: Sequence[Path]  # the first that has TensorRT
    keep: int = 3  # of each model, the one in use among them


class NodeEngines:
    """What the handlers of one node need for engines."""

    def __init__(
        self, *, place: EnginePlace | None, jobs: Jobs, facts: Callable[[], NodeFacts]
    ) -> None:
        """Registers its job. `place` None: the node is simulated, and has no engines."""
        self._jobs = jobs
        self._store: EngineStore | None = None
        if place is None:
            return
        self._store = EngineStore(place.folder)
        self._kind = BuildKind(
            store=self._store,
            executor=HostExecutor(place.pythons),
            digests=Digests(),
            facts=facts,
            keep=place.keep,
        )
        jobs.register(self._kind)

    async def start(self) -> None:
        """Bring the store in order; one that cannot be used is told, and stops nothing else."""
        if self._store is None:
            return
        try:
            await asyncio.to_thread(self._store.tidy)
        except ProblemError as problem:
            log.warning("engines: %s", problem.detail)

    async def list(self) -> builtins.list[Engine]:
        """Engines by model, newest first. Raises ProblemError `engine.storage`."""
        if self._store is None:
            return []
        return await asyncio.to_thread(self._store.list)

    async def show(self, model: str) -> builtins.list[Engine]:
        """The engines of one model, newest first.

        Raises:
            ProblemError: `engine.not_found`, `engine.storage`.
        """
        found = [engine for engine in await self.list() if engine.model == model]
        if not found:
            raise ProblemError(
                "engine.not_found",
                f"there is no engine of {model} here",
                params={"model": model},
                hint="roost engine ls lists them.",
            )
        return found

    async def build(self, request: BuildRequest, *, owner: str, key: str | None) -> Job:
        """The job that has the engine.

        Raises:
            ProblemError: `engine.simulated`, `engine.recipe`, `engine.onnx`, `engine.no_gpu`, and
                those of `Jobs.submit`.
        """
        if self._store is None:
            raise ProblemError(
                "engine.simulated",
                "this node is simulated, nothing is built on it",
                hint="Use a real node.",
            )
        if wrong := impossible(request.recipe):
            raise ProblemError("engine.recipe", wrong, hint="Mend the recipe.")
        self._kind.gpu(request)
        onnx = Path(request.recipe.onnx)
        if not await asyncio.to_thread(onnx.is_file):
            raise ProblemError(
                "engine.onnx",
                f"{onnx} is no file on the node",
                params={"onnx": str(onnx)},
                hint="Bring the model there first; the recipe has its whole path on the node.",
            )
        return await self._jobs.submit(BUILD, request, owner=owner, key=key)
