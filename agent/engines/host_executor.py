"""Workers as processes on the node, where TensorRT is installed on it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from anyio import fail_after

from agent.engines import worker
from agent.engines.events import Event, Versions
from agent.engines.hearing import Hearing
from agent.engines.orphans import DESCRIPTION
from agent.engines.worker_process import quiet_log, run_process
from agent.engines.worker_task import WorkerTask
from agent.host.real_paths import ROOT, command_there, here
from agent.protocol.engines import Builder
from agent.protocol.gpus import TEGRA_UUID
from agent.protocol.images import NodeImage
from agent.protocol.problems import ProblemError

WORKER = Path(worker.__file__)
LOOK_SECONDS = 60.0
# No site of a user, no folder of ours in its path: its modules must not be mistaken for others.
OPTIONS = ("-I", "-B", "-u")
_PASSED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "HOME")


class Looked(msgspec.Struct, kw_only=True, frozen=True):
    """The TensorRT that was found, and what it says of the GPU that it sees."""

    builder: Builder
    sm_count: int | None = None
    image_id: str | None = None  # the runtime's, of where it was found


class _Found(msgspec.Struct):
    python: Path
    looked: Looked
    module: Path | None
    changed_at: int


class HostExecutor:
    """Runs worker.py with the first of some Pythons that has TensorRT.

    They are the machine's, whose root is `root`: it has its own folders of the agent's there.
    """

    def __init__(self, pythons: Sequence[Path], *, root: Path = ROOT) -> None:
        self._pythons, self._root = list(pythons), root
        self._found: dict[str | None, _Found] = {}  # by GPU

    async def look(self, gpu: str | None) -> Looked:
        """Which TensorRT would build here; looked up again when its files have changed.

        Raises:
            ProblemError: `engine.no_tensorrt`, `engine.worker`.
        """
        return (await self._look(gpu)).looked

    async def run(self, task: WorkerTask, hearing: Hearing) -> None:
        """Do `task`, with no GPU visible but its own. Raises as `run_process`, and OSError."""
        python = (await self._look(task.gpu, known_will_do=True)).python
        job = task.place / DESCRIPTION
        described = task.described(lambda each: str(each.path))
        await asyncio.to_thread(job.write_bytes, msgspec.json.encode(described))
        await run_process(
            self._command(python, str(job)),
            environment=_environment(task.gpu),
            hearing=hearing,
        )

    async def _look(self, gpu: str | None, *, known_will_do: bool = False) -> _Found:
        found = self._found.get(gpu)
        if (
            found is None
            or (lacks_gpu(found.looked, gpu) and not known_will_do)
            or await asyncio.to_thread(self._changed_at, found.module) != found.changed_at
        ):
            found = self._found[gpu] = await self._find(gpu)
        return found

    async def _find(self, gpu: str | None) -> _Found:
        without: list[str] = []
        for python in self._pythons:
            versions: list[Versions] = []

            def keep(event: Event, versions: list[Versions] = versions) -> None:
                if isinstance(event, Versions):
                    versions.append(event)

            hearing = Hearing(keep, quiet_log())
            try:
                with fail_after(LOOK_SECONDS):
                    await run_process(
                        self._command(python), environment=_environment(gpu), hearing=hearing
                    )
            except ProblemError as problem:
                without.append(problem.detail)
                continue
            except TimeoutError:
                without.append(f"{python} did not say within {LOOK_SECONDS:g} s")
                continue
            for told in versions:
                module = Path(told.module_file) if told.module_file else None
                return _Found(
                    python=python,
                    looked=looked_of(told),
                    module=module,
                    changed_at=await asyncio.to_thread(self._changed_at, module),
                )
        raise ProblemError(
            "engine.no_tensorrt",
            "; ".join(without) or "no Python is named that could have it",
            hint="Install TensorRT or TensorRT-RTX for one of them, or name the Python that has it"
            " as `engines: {python: ...}` in agent.yaml. With executor: container, that of an"
            " image builds.",
        )

    def _command(self, python: Path, *words: str) -> list[str]:
        return command_there([str(python), *OPTIONS, str(WORKER), *words], self._root)

    def _changed_at(self, file: Path | None) -> int:
        """Of the module: an upgrade writes it anew. 0: it cannot be told. Blocks."""
        try:
            return 0 if file is None else here(file, self._root).stat().st_mtime_ns
        except OSError:
            return 0


def looked_of(told: Versions, image: NodeImage | None = None) -> Looked:
    """As a worker told it that ran in `image`."""
    device = told.device
    return Looked(
        builder=Builder(
            flavour=told.flavour,
            version=told.tensorrt,
            python=told.python,
            image=None if image is None else image.config_digest or image.id,
            progress=told.progress,
        ),
        sm_count=None if device is None else device.multiprocessors,
        image_id=None if image is None else image.id,
    )


def lacks_gpu(looked: Looked, gpu: str | None) -> bool:
    """Whether a GPU was asked for and not seen: what was found does not hold for long then."""
    return gpu is not None and looked.sm_count is None


def _environment(gpu: str | None) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {**passed, "CUDA_VISIBLE_DEVICES": _seen_by_cuda(gpu)}


def _seen_by_cuda(gpu: str | None) -> str:
    """The GPU as CUDA names it; empty: none shall be seen.

    CUDA takes indices, and UUIDs that begin with GPU- or MIG- (CUDA C++ Programming Guide, CUDA
    Environment Variables). The name that a Jetson's GPU has here is ours, and it is device 0.
    """
    if gpu is not None and gpu.startswith(TEGRA_UUID):
        return "0"
    return gpu or ""
