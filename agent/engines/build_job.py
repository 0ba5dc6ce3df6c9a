"""The job `engine.build`: one engine, from its recipe to its place in the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.engines.checking import Checking
from agent.engines.host_executor import Looked
from agent.engines.keeping import keep_made, use_if_good
from agent.engines.plan_files import take_plan
from agent.engines.sharing import Sharing, Wanted
from agent.engines.store import PLAN
from agent.engines.told import Told, incomplete
from agent.engines.workshop import (
    KEEP_SECONDS,
    LOOK_SECONDS,
    OUT,
    Workshop,
)
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.engine_figures import EngineCheck
from agent.protocol.engines import BuildRequest, Engine, EngineManifest, EngineParts, ModelFile
from agent.protocol.gpus import Gpu
from agent.protocol.problems import ProblemError
from agent.rules.engine_keys import engine_key, recipe_digest

BUILD = "engine.build"
BUILDING = "building"  # the stage that has the recipe's time


class BuildKind(JobKind[BuildRequest]):
    """Has `current` point at an engine: one that is there, another node's, or one built now."""

    name = BUILD
    request_type = BuildRequest
    resumable = True  # what was half built is thrown away, and built again
    joins = True
    at_once = None

    def __init__(self, shop: Workshop, checking: Checking, sharing: Sharing) -> None:
        self._shop, self._checking, self._sharing = shop, checking, sharing

    def subject(self, request: BuildRequest) -> str:
        return request.recipe.model

    def alike(self, request: BuildRequest) -> str | None:
        return recipe_digest(request.recipe)

    def late_hint(self, request: BuildRequest, stage: str) -> str | None:
        """The same time again would be too short again."""
        if stage != BUILDING:
            return None
        return (
            f"The recipe's timeout_seconds is {request.recipe.timeout_seconds:g}: raise it, or"
            " lower optimization_level, and build it again."
        )

    def locks(self, request: BuildRequest) -> Sequence[str]:
        return self._shop.locks(request.gpu, request.recipe.model)

    def identity(self, request: BuildRequest) -> BuildRequest:
        """Where it can be had makes no other engine of it."""
        return msgspec.structs.replace(request, shared=None)

    def joined(self, request: BuildRequest, joining: BuildRequest) -> BuildRequest:
        return msgspec.structs.replace(request, shared=request.shared or joining.shared)

    async def run(self, work: Work[BuildRequest]) -> dict[str, str]:
        shop, request, recipe = self._shop, work.request, work.request.recipe
        await work.stage("looking", LOOK_SECONDS)
        gpu = shop.gpu(request.gpu)
        looked = await shop.look(work, recipe.executor, recipe.image, gpu)
        parts, files = await shop.parts(recipe, looked, gpu)
        key = engine_key(parts)
        there = None
        if not request.rebuild:
            there = await asyncio.to_thread(self._whole, work, key)
        manifest = await self._again(work, there, looked, gpu) if there is not None else None
        how: dict[str, str] = {"engine": "was there"}
        if manifest is None and (shared := work.request.shared) is not None:
            compare = await asyncio.to_thread(self._compare, parts)
            wanted = Wanted(parts, files, looked, gpu, compare)
            manifest, how = await self._sharing.take(work, shared, wanted)
        if manifest is None:
            how["engine"] = "built"
            manifest = await shop.with_room(
                work, recipe, gpu, lambda: self._build(work, parts, files, looked, gpu)
            )
        return {
            "model": recipe.model,
            "key": key,
            **how,
            "gpu": "yes" if gpu is not None else "no",  # whether it could have been tried
            "current": await use_if_good(work, shop, recipe.model, manifest),
        }

    def _whole(self, work: Work[BuildRequest], key: str) -> Engine | None:
        """The engine of that key, if its plan is what was kept. Blocks."""
        store = self._shop.store
        there = store.find(work.request.recipe.model, key)
        if there is not None and (why := store.damage(there)):
            work.log(f"engine {key[:12]} is built anew: {why}")
            return None
        return there

    async def _again(
        self, work: Work[BuildRequest], there: Engine, looked: Looked, gpu: Gpu | None
    ) -> EngineManifest | None:
        """The engine that is there, tried again if need be; None: it must be built anew."""
        work.log(f"engine {there.manifest.key[:12]} is there already")
        validation = work.request.recipe.validation
        why = self._checking.needed(there.manifest, gpu, validation)
        if why is None:
            return there.manifest
        work.log(f"it is tried again: {why}")
        try:
            return await self._checking.check(work, there, looked, gpu, validation, remember=True)
        except ProblemError as problem:
            if problem.code not in ("engine.unfit", "engine.plan"):
                raise
            work.log(f"it is built anew: {problem.detail}")
            return None

    async def _build(
        self,
        work: Work[BuildRequest],
        parts: EngineParts,
        files: list[ModelFile],
        looked: Looked,
        gpu: Gpu | None,
    ) -> EngineManifest:
        shop, recipe = self._shop, work.request.recipe
        compare = await asyncio.to_thread(self._compare, parts)
        await work.stage(BUILDING, recipe.timeout_seconds)
        async with shop.place(recipe.model, work.job.id) as place:
            told = await shop.run(
                work,
                place,
                looked,
                gpu,
                recipe=recipe,
                validation=recipe.validation,
                compare=compare,
            )
            check = shop.checked(told, recipe.validation, gpu)
            await work.stage("keeping", KEEP_SECONDS)
            manifest = made_of(told, parts, check, job=work.job.id)
            manifest.files, manifest.driver_version = files, shop.driver()
            manifest.gpu_uuid = gpu.uuid if gpu else None
            manifest.image_name = recipe.image
            await asyncio.to_thread(_take, place, manifest)
            await asyncio.to_thread(keep_made, shop, place, recipe.model, manifest, looked, gpu)
        work.log(f"engine {manifest.key[:12]}, {manifest.plan_bytes} bytes")
        return manifest

    def _compare(self, parts: EngineParts) -> Path | None:
        """The outputs of the engine in use: those of another model would differ, of course."""
        recipe = parts.recipe
        if recipe is None or not recipe.validation.previous:
            return None
        inputs = recipe.validation.inputs
        ours = None if inputs is None else self._shop.digests.of_inputs(Path(inputs))
        if inputs is not None and ours is None:
            return None  # the builder tells what is wrong with them
        for engine in self._shop.store.list(recipe.model):
            before, check = engine.manifest.parts, engine.manifest.check
            if (
                engine.current
                and before.onnx_sha256 == parts.onnx_sha256
                and before.external_sha256 == parts.external_sha256
                and before.recipe is not None
                and before.recipe.profiles == recipe.profiles
                and check is not None
                and check.inputs_sha256 == ours
                and before.recipe.validation.batches == recipe.validation.batches
            ):
                return self._shop.store.outputs_of(engine)
        return None


def made_of(told: Told, parts: EngineParts, check: EngineCheck, *, job: str) -> EngineManifest:
    """Without digest and size of the plan. Raises ProblemError `engine.worker`."""
    if told.parsed is None or told.built is None:
        raise incomplete()
    return EngineManifest(
        key=engine_key(parts),
        parts=parts,
        built_at=time.time(),
        build_seconds=told.built.seconds,
        peak_memory_bytes=told.built.peak_memory_bytes,
        plan_bytes=told.built.plan_bytes,
        plan_sha256="",
        plan_version=told.built.header.version,
        layers=told.parsed.layers,
        warnings=told.warnings,
        verification=check.state,
        verification_reason=check.reason,
        check=check,
        job=job,
    )


def _take(place: Path, manifest: EngineManifest) -> None:
    """The plan out of the folder that the worker wrote to, read back."""
    header, manifest.plan_sha256, size = take_plan(place / OUT / PLAN, place / PLAN)
    if header.flavour != manifest.parts.flavour or size != manifest.plan_bytes:
        raise ProblemError(
            "engine.plan",
            f"the builder told of {manifest.plan_bytes} bytes of {manifest.parts.flavour}, and"
            f" {size} bytes of {header.flavour} are there",
            hint="Was the disk full, or did something else write there? Build it again.",
        )
    manifest.plan_version = header.version
