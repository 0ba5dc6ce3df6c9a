"""The job `engine.build`: one engine, from its recipe to its place in the store."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from agent.engines.events import Built, Checked, Event, Message, Parsed, Progress
from agent.engines.host_executor import HostExecutor
from agent.engines.onnx_file import PIECE_BYTES, Digests
from agent.engines.store import LOG, PLAN, EngineStore
from agent.engines.worker_process import BuildLog
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.engines import (
    Builder,
    BuildRequest,
    EngineManifest,
    EngineParts,
    EngineRecipe,
)
from agent.protocol.gpus import Gpu
from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from agent.rules.engine_keys import engine_key

BUILD = "engine.build"
# Models are read whole for their digest: 10 GB from an SD card take ten minutes.
LOOK_SECONDS = 1800.0
KEEP_SECONDS = 600.0
STEPS = 1000  # of a build's progress


class BuildKind(JobKind[BuildRequest]):
    """Builds where no engine of the same key is there, and has `current` point at it."""

    name = BUILD
    request_type = BuildRequest
    resumable = True  # what was half built is thrown away, and built again
    joins = True
    at_once = None

    def __init__(
        self,
        *,
        store: EngineStore,
        executor: HostExecutor,
        digests: Digests,
        facts: Callable[[], NodeFacts],
        keep: int,
    ) -> None:
        self._store, self._executor, self._digests = store, executor, digests
        self._facts, self._keep = facts, keep

    def subject(self, request: BuildRequest) -> str:
        return request.recipe.model

    def locks(self, request: BuildRequest) -> Sequence[str]:
        """One build at a time for each GPU, and one of those that need none."""
        gpus = self._facts().gpus
        gpu = request.gpu or (gpus[0].uuid if gpus else "cpu")
        return [f"engine-build:{gpu}", f"engine:{request.recipe.model}"]

    async def run(self, work: Work[BuildRequest]) -> dict[str, str]:
        request, recipe = work.request, work.request.recipe
        await work.stage("looking", LOOK_SECONDS)
        builder = await self._executor.builder()
        work.log(f"{builder.flavour} {builder.version}, Python {builder.python}")
        gpu = self.gpu(request)
        parts = await self._parts(recipe, builder, gpu)
        key = engine_key(parts)
        there = await asyncio.to_thread(self._store.find, recipe.model, key)
        if there is not None and not request.rebuild:
            work.log(f"engine {key[:12]} is there already")
            manifest = there.manifest
        else:
            manifest = await self._build(work, parts, gpu)
        used = await self._use(recipe.model, manifest)
        return {
            "model": recipe.model,
            "key": key,
            "engine": "was there" if there is not None and not request.rebuild else "built",
            "current": used,
        }

    async def _parts(self, recipe: EngineRecipe, builder: Builder, gpu: Gpu | None) -> EngineParts:
        digests = await asyncio.to_thread(self._digests.of, Path(recipe.onnx))
        parts = EngineParts(
            onnx_sha256=digests.model,
            external_sha256=digests.external,
            recipe=recipe,
            flavour=builder.flavour,
            tensorrt=builder.version,
        )
        if builder.flavour == "tensorrt_rtx":  # its engines run on other GPUs, too
            return parts
        if gpu is None:
            raise ProblemError(
                "engine.no_gpu",
                f"TensorRT {builder.version} builds on the GPU that will run the engine, and"
                " there is none here",
                hint="TensorRT-RTX builds without a GPU, for GeForce and RTX.",
            )
        parts.gpu, parts.compute_capability = gpu.name, gpu.compute_capability
        parts.gpu_memory_bytes = gpu.memory_total_bytes
        return parts

    async def _build(
        self, work: Work[BuildRequest], parts: EngineParts, gpu: Gpu | None
    ) -> EngineManifest:
        recipe = parts.recipe
        await work.stage("building", recipe.timeout_seconds)
        place = await asyncio.to_thread(self._store.begin, recipe.model, work.job.id)
        try:
            told = Told(work)
            log = BuildLog(place / LOG)
            job = place / "job.json"
            described = msgspec.to_builtins(recipe) | {
                "plan": str(place / PLAN),
                "flavour": parts.flavour,
            }
            await asyncio.to_thread(job.write_bytes, msgspec.json.encode(described))
            await self._executor.build(job, gpu=gpu.uuid if gpu else None, seen=told, log=log)
            await work.stage("keeping", KEEP_SECONDS)
            manifest = told.manifest(parts, self._facts().gpu_stack.driver_version)
            manifest.plan_sha256 = await asyncio.to_thread(_digest, place / PLAN)
            await asyncio.to_thread(job.unlink)
            await asyncio.to_thread(self._store.keep, place, recipe.model, manifest)
        except OSError as error:
            raise ProblemError("engine.storage", f"{place}: {error.strerror}") from None
        finally:
            await asyncio.shield(asyncio.to_thread(self._store.forget, place))
        work.log(f"engine {manifest.key[:12]}, {manifest.plan_bytes} bytes")
        return manifest

    async def _use(self, model: str, manifest: EngineManifest) -> str:
        """Only what was tried on a GPU may become `current`."""
        tried = manifest.verification != "header"
        if tried:
            await asyncio.to_thread(self._store.use, model, manifest.key)
        await asyncio.to_thread(self._store.prune, model, keep=self._keep)
        return "yes" if tried else f"not switched: {manifest.verification_reason}"

    def gpu(self, request: BuildRequest) -> Gpu | None:
        """The one that was asked for, or else the first.

        Raises:
            ProblemError: `engine.no_gpu`.
        """
        gpus = self._facts().gpus
        if request.gpu is None:
            return gpus[0] if gpus else None
        for gpu in gpus:
            if gpu.uuid == request.gpu:
                return gpu
        raise ProblemError(
            "engine.no_gpu",
            f"no GPU here is {request.gpu}",
            params={"gpu": request.gpu},
            hint="roost gpu ls lists them.",
        )


class Told:
    """What a worker told so far."""

    def __init__(self, work: Work[BuildRequest]) -> None:
        self._work = work
        self._parsed: Parsed | None = None
        self._built: Built | None = None
        self._checked: Checked | None = None
        self._phase, self._warnings = "", 0

    def __call__(self, event: Event) -> None:
        work = self._work
        if isinstance(event, Progress):
            work.progress(int(event.fraction * STEPS), STEPS, "items")
            if event.phase != self._phase:
                self._phase = event.phase
                work.log(f"{event.phase}, {event.fraction:.0%}")
        elif isinstance(event, Message):
            self._warnings += event.severity == "warning"
            work.log(f"{event.severity}: {event.text}")
        elif isinstance(event, Parsed):
            self._parsed = event
            inputs = ", ".join(f"{each.name} {each.shape}" for each in event.inputs)
            work.log(f"{event.layers} layers, inputs {inputs}")
        elif isinstance(event, Built):
            self._built = event
        elif isinstance(event, Checked):
            self._checked = event

    def manifest(self, parts: EngineParts, driver: str | None) -> EngineManifest:
        """Without the digest of the plan. Raises ProblemError `engine.worker`."""
        parsed, built, checked = self._parsed, self._built, self._checked
        if parsed is None or built is None or checked is None:
            raise ProblemError("engine.worker", "the builder did not say what it built")
        return EngineManifest(
            key=engine_key(parts),
            parts=parts,
            driver_version=driver,
            built_at=time.time(),
            build_seconds=built.seconds,
            peak_memory_bytes=built.peak_memory_bytes,
            plan_bytes=built.plan_bytes,
            plan_sha256="",
            plan_version=built.header.version,
            layers=parsed.layers,
            warnings=self._warnings,
            verification=checked.state,
            verification_reason=checked.reason,
            job=self._work.job.id,
        )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
