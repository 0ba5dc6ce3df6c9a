"""What all jobs of engines have in common: GPUs, builders, and one run of the worker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from agent.engines.build_log import BuildLog, said_last
from agent.engines.caches import RUNTIME, TIMING, Caches
from agent.engines.engine_parts import parts_of
from agent.engines.executors import Executors
from agent.engines.gpu_room import WAIT_SECONDS, await_room, with_room
from agent.engines.handing import nothing_bound
from agent.engines.hearing import Hearing, Silences
from agent.engines.host_executor import Looked
from agent.engines.onnx_file import Digests
from agent.engines.store import LOG, PLAN, EngineStore, unstorable
from agent.engines.told import Told
from agent.engines.worker_task import TaskPath, WorkerTask
from agent.gpu.tegra_files import power_mode
from agent.jobs.work import Work
from agent.protocol.engine_figures import EngineCheck
from agent.protocol.engines import EngineParts, EngineRecipe, Executor, ModelFile, Validation
from agent.protocol.gpus import Gpu, GpuSample
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError

# Models are read whole for their digest: 10 GB from an SD card take ten minutes.
LOOK_SECONDS = 1800.0
KEEP_SECONDS = 600.0
# A check that builds nothing: loading, and thousands of iterations on a small GPU.
CHECK_SECONDS = 1800.0
T = TypeVar("T")
OUT, KEPT_OUTPUTS = "out", "kept"


class Workshop(msgspec.Struct, kw_only=True, frozen=True):
    """One node's."""

    store: EngineStore
    executors: Executors
    digests: Digests
    caches: Caches
    facts: Callable[[], NodeFacts]
    samples: Callable[[], Sequence[GpuSample]]
    keep: int
    handed: Callable[[], Awaitable[Mapping[Path, Sequence[str]]]] = nothing_bound
    root: Path = Path("/")  # of the machine
    silences: Silences = Silences()
    wait_seconds: float = WAIT_SECONDS  # for room on a GPU

    def gpu(self, asked: str | None) -> Gpu | None:
        """The one that was asked for, or else the first.

        Raises:
            ProblemError: `engine.no_gpu`.
        """
        gpus = self.facts().gpus
        if asked is None:
            return gpus[0] if gpus else None
        for gpu in gpus:
            if gpu.uuid == asked:
                return gpu
        raise ProblemError(
            "engine.no_gpu",
            f"no GPU here is {asked}",
            params={"gpu": asked},
            hint="roost gpu ls lists them.",
        )

    def locks(self, asked: str | None, model: str) -> Sequence[str]:
        """One build at a time for each GPU, and one of those that need none."""
        gpus = self.facts().gpus
        gpu = asked or (gpus[0].uuid if gpus else "cpu")
        return [f"engine-build:{gpu}", f"engine:{model}"]

    def driver(self) -> str | None:
        """Its version."""
        return self.facts().gpu_stack.driver_version

    async def power_mode(self) -> str | None:
        """A Jetson's, as it is now; None elsewhere."""
        return await asyncio.to_thread(power_mode, self.root)

    async def look(
        self, work: Work[Any], executor: Executor, image: str | None, gpu: Gpu | None
    ) -> Looked:
        """Which TensorRT there is. Raises ProblemError as `Executors.look`."""
        looked = await self.executors.look(executor, image, gpu.uuid if gpu else None)
        builder = looked.builder
        work.log(
            f"{builder.flavour} {builder.version}, Python {builder.python}"
            + (f", of {image}" if image else "")
        )
        return looked

    async def parts(
        self, recipe: EngineRecipe, looked: Looked, gpu: Gpu | None
    ) -> tuple[EngineParts, list[ModelFile]]:
        """What the engine of a recipe would be made of here. Raises as `parts_of`."""
        return await parts_of(
            recipe,
            looked,
            gpu,
            digests=self.digests,
            facts=self.facts(),
            power_mode=await self.power_mode(),
        )

    async def await_room(self, work: Work[Any], recipe: EngineRecipe, gpu: Gpu | None) -> None:
        """Wait until the GPU has room beside what runs on it. Raises as `gpu_room.await_room`."""
        await await_room(work, recipe, gpu, samples=self.samples, seconds=self.wait_seconds)

    async def with_room(
        self,
        work: Work[Any],
        recipe: EngineRecipe,
        gpu: Gpu | None,
        build: Callable[[], Awaitable[T]],
    ) -> T:
        """Build when there is. Raises as `gpu_room.with_room`."""
        return await with_room(
            work, recipe, gpu, build, samples=self.samples, seconds=self.wait_seconds
        )

    @contextlib.asynccontextmanager
    async def place(self, model: str, job: str) -> AsyncIterator[Path]:
        """A folder to work in, for as long as the block lasts; `keep` takes it before.

        Raises:
            ProblemError: `engine.storage`: the disk refused, in the block too.
        """
        folder = await asyncio.to_thread(self.store.begin, model, job)
        try:
            await asyncio.to_thread(_outside, folder)
            yield folder
        except OSError as error:
            raise unstorable(error, folder) from None
        finally:
            await asyncio.shield(asyncio.to_thread(self.store.forget, folder))

    async def run(
        self,
        work: Work[Any],
        place: Path,
        looked: Looked,
        gpu: Gpu | None,
        *,
        recipe: EngineRecipe | None,
        validation: Validation,
        plan: Path | None = None,
        compare: Path | None = None,
        onnx_too: bool = True,
    ) -> Told:
        """Build `recipe` into OUT of `place`, or try the engine at `plan`; what was told of it.

        Args:
            compare: outputs that those of the engine are compared with.
            onnx_too: whether a check may look at the ONNX: not when that has changed since.

        Raises:
            ProblemError: `engine.*`, and `runtime.*` of a container.
            OSError: of `place`.
        """
        cache = await asyncio.to_thread(self.caches.folder, looked.builder, gpu)
        out = place / OUT
        paths = [
            TaskPath("keep_outputs", out / KEPT_OUTPUTS, writable=True),
            TaskPath("plan", plan)
            if plan
            else TaskPath("plan", out / PLAN, writable=True, folder=True),
        ]
        if looked.builder.flavour == "tensorrt_rtx":
            paths.append(TaskPath("runtime_cache", cache / RUNTIME, writable=True, folder=True))
        elif recipe is not None and recipe.timing_cache and plan is None:
            paths.append(TaskPath("timing_cache", cache / TIMING, writable=True, folder=True))
        if recipe is not None:
            if plan is None or onnx_too:
                paths.append(TaskPath("onnx", Path(recipe.onnx), folder=True))
            if recipe.calibration_cache is not None and plan is None:
                paths.append(TaskPath("calibration_cache", Path(recipe.calibration_cache)))
        if validation.inputs is not None:
            paths.append(TaskPath("inputs", Path(validation.inputs)))
        if compare is not None:
            paths.append(TaskPath("compare", compare))
        inputs = None
        if validation.inputs is not None:
            inputs = await asyncio.to_thread(self.digests.of_inputs, Path(validation.inputs))
        told = Told(work, looked.builder, inputs)
        task = WorkerTask(
            job=work.job.id,
            place=place,
            action="build" if plan is None else "check",
            flavour=looked.builder.flavour,
            recipe=recipe,
            validation=validation,
            gpu=gpu.uuid if gpu else None,
            image=looked.image_id,
            memory_bytes=recipe.memory_bytes if recipe else None,
            paths=paths,
        )
        try:
            await self.executors.run(task, Hearing(told, BuildLog(place / LOG), self.silences))
        except ProblemError:
            for line in await asyncio.to_thread(said_last, place / LOG):
                work.log(line)  # else it is gone with `place`
            raise
        return told

    def seed(self, place: Path, looked: Looked, gpu: Gpu | None) -> None:
        """What TensorRT-RTX compiled for an engine goes with it. Blocks; raises OSError."""
        if looked.builder.flavour == "tensorrt_rtx":
            self.caches.seed(looked.builder, gpu, place)

    def checked(self, told: Told, validation: Validation, gpu: Gpu | None) -> EngineCheck:
        """How far it was tried, when that is good.

        Raises:
            ProblemError: `engine.worker`, `engine.outputs`, `engine.latency`.
        """
        check = told.check(driver=self.driver(), gpu=gpu)
        compared, limit = check.compared, validation.max_latency_ms
        if compared is not None and not compared.ok:
            raise ProblemError(
                "engine.outputs",
                f"its outputs are not those of {compared.with_}: "
                + (compared.reason or f"they differ by up to {compared.max_abs}"),
                hint="Look at precision, and at rtol and atol in the recipe's validation.",
            )
        slowest = max((each.p99_ms for each in check.latencies), default=None)
        if limit is not None and slowest is not None and slowest > limit:
            raise ProblemError(
                "engine.latency",
                f"p99 is {slowest:.2f} ms, and may be {limit:g} ms",
                params={"p99_ms": slowest, "max_latency_ms": limit},
                hint="Was the GPU busy? Else try another precision, or smaller batches.",
            )
        return check


def _outside(place: Path) -> None:
    """Whoever an image runs as may write there."""
    for folder in (place / OUT, place / OUT / KEPT_OUTPUTS):
        folder.mkdir()
        folder.chmod(0o777)
