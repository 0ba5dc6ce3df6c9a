"""Builds as processes on the node, where TensorRT is installed on it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.engines import worker
from agent.engines.events import Event, Versions
from agent.engines.worker_process import BuildLog, run_worker
from agent.protocol.engines import Builder
from agent.protocol.problems import ProblemError

WORKER = Path(worker.__file__)
LOOK_SECONDS = 60.0
# No site of a user, no folder of ours in its path: its modules must not be mistaken for others.
OPTIONS = ("-I", "-B", "-u")
_PASSED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "HOME")


class HostExecutor:
    """Runs worker.py with the first of some Pythons that has TensorRT."""

    def __init__(self, pythons: Sequence[Path]) -> None:
        self._pythons = list(pythons)
        self._found: tuple[Path, Builder, Path | None, int] | None = None

    async def builder(self) -> Builder:
        """Which TensorRT would build here; looked up again when its files have changed.

        Raises:
            ProblemError: `engine.no_tensorrt`, `engine.worker`.
        """
        return (await self._look())[1]

    async def build(
        self, job: Path, *, gpu: str | None, seen: Callable[[Event], None], log: BuildLog
    ) -> None:
        """Build what `job` describes, with no GPU visible but `gpu`. Raises as `run_worker`."""
        python = (await self._look())[0]
        await run_worker(
            [python, *OPTIONS, WORKER, job],
            environment={**_environment(), "CUDA_VISIBLE_DEVICES": gpu or ""},
            seen=seen,
            log=log,
        )

    async def _look(self) -> tuple[Path, Builder]:
        found = self._found
        if found is None or await asyncio.to_thread(_changed_at, found[2]) != found[3]:
            found = self._found = await self._find()
        return found[0], found[1]

    async def _find(self) -> tuple[Path, Builder, Path | None, int]:
        without: list[str] = []
        for python in self._pythons:
            versions: list[Versions] = []

            def keep(event: Event, versions: list[Versions] = versions) -> None:
                if isinstance(event, Versions):
                    versions.append(event)

            try:
                await asyncio.wait_for(_ask(python, keep), LOOK_SECONDS)
            except ProblemError as problem:
                without.append(problem.detail)
                continue
            except asyncio.TimeoutError:
                without.append(f"{python} did not say within {LOOK_SECONDS:g} s")
                continue
            for told in versions:
                builder = Builder(flavour=told.flavour, version=told.tensorrt, python=told.python)
                module = Path(told.module_file) if told.module_file else None
                return python, builder, module, await asyncio.to_thread(_changed_at, module)
        raise ProblemError(
            "engine.no_tensorrt",
            "; ".join(without) or "no Python is named that could have it",
            hint="Install TensorRT or TensorRT-RTX for one of them, or name the Python that has it"
            " as `engines: {python: ...}` in agent.yaml.",
        )


async def _ask(python: Path, seen: Callable[[Event], None]) -> None:
    log = BuildLog(Path(os.devnull), limit=0)
    await run_worker([python, *OPTIONS, WORKER], environment=_environment(), seen=seen, log=log)


def _changed_at(file: Path | None) -> int:
    """Of the module: an upgrade writes it anew. 0: it cannot be told."""
    try:
        return 0 if file is None else file.stat().st_mtime_ns
    except OSError:
        return 0


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _PASSED if name in os.environ}
