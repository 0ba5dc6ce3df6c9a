"""The job `engine.import`: a plan that lies on the node, taken into the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.engines.beside import manifest_beside
from agent.engines.engine_parts import OF_THE_GPU, add_gpu, bare_parts
from agent.engines.host_executor import Looked
from agent.engines.keeping import keep_made, use_if_good
from agent.engines.plan_files import PlanHeader, copy_plan, digest_of
from agent.engines.store import PLAN
from agent.engines.workshop import (
    CHECK_SECONDS,
    KEEP_SECONDS,
    LOOK_SECONDS,
    Workshop,
)
from agent.host.real_paths import here
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.engine_figures import EngineCheck
from agent.protocol.engines import EngineManifest, EngineRecipe, PlanImportRequest, Validation
from agent.protocol.gpus import Gpu
from agent.protocol.problems import ProblemError
from agent.rules.engine_keys import engine_key

IMPORT = "engine.import"


class ImportKind(JobKind[PlanImportRequest]):
    """Takes in what TensorRT here can load, and has `current` point at it when it ran."""

    name = IMPORT
    request_type = PlanImportRequest
    resumable = True  # what was half copied is thrown away
    joins = True
    at_once = None

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    def subject(self, request: PlanImportRequest) -> str:
        return request.model

    def locks(self, request: PlanImportRequest) -> Sequence[str]:
        return self._shop.locks(request.gpu, request.model)

    async def run(self, work: Work[PlanImportRequest]) -> dict[str, str]:
        shop, request = self._shop, work.request
        await work.stage("looking", LOOK_SECONDS)
        gpu = shop.gpu(request.gpu)
        looked = await shop.look(work, request.executor, request.image, gpu)
        async with shop.place(request.model, work.job.id) as place:
            await work.stage("copying", LOOK_SECONDS)
            header = await _copied(Path(request.plan), place / PLAN, shop.root)
            _say(work, header)
            same = _compare(header, looked, can_try=gpu is not None)
            digest, _ = await asyncio.to_thread(digest_of, place / PLAN)
            source = await asyncio.to_thread(here, request.plan, shop.root)
            before, said = await asyncio.to_thread(manifest_beside, source, header, digest)
            if said:
                work.log(said)
            recipe = before.parts.recipe if before is not None else None
            validation = _validation(request, recipe)
            await work.stage("checking", CHECK_SECONDS)
            told = await shop.run(
                work,
                place,
                looked,
                gpu,
                recipe=recipe,
                validation=validation,
                plan=place / PLAN,
                onnx_too=False,  # that lies where it was built
            )
            check = shop.checked(told, validation, gpu)
            await work.stage("keeping", KEEP_SECONDS)
            tensorrt = looked.builder.version if same else header.tensorrt
            manifest = await self._manifest(work, place, header, tensorrt, looked, gpu, check)
            if before is not None:
                _as_built(manifest, before, model=request.model, validation=validation)
            await asyncio.to_thread(keep_made, shop, place, request.model, manifest, looked, gpu)
        return {
            "model": request.model,
            "key": manifest.key,
            "engine": "imported",
            "gpu": "yes" if gpu is not None else "no",  # whether it could have been tried
            "current": await use_if_good(work, shop, request.model, manifest),
        }

    async def _manifest(
        self,
        work: Work[PlanImportRequest],
        place: Path,
        header: PlanHeader,
        tensorrt: str,
        looked: Looked,
        gpu: Gpu | None,
        check: EngineCheck,
    ) -> EngineManifest:
        shop, request = self._shop, work.request
        digest, size = await asyncio.to_thread(digest_of, place / PLAN)
        parts = bare_parts(looked)
        parts.tensorrt, parts.plan_sha256 = tensorrt, digest
        if gpu is not None and check.state != "header":
            add_gpu(parts, looked, gpu, shop.facts(), await shop.power_mode())
        return EngineManifest(
            key=engine_key(parts),
            parts=parts,
            driver_version=shop.driver(),
            gpu_uuid=gpu.uuid if gpu else None,
            built_at=time.time(),
            build_seconds=0.0,
            plan_bytes=size,
            plan_sha256=digest,
            plan_version=header.version,
            warnings=0,
            verification=check.state,
            verification_reason=check.reason,
            check=check,
            image_name=request.image,
            imported=request.plan,
            metadata=header.metadata,
            job=work.job.id,
        )


def _validation(request: PlanImportRequest, recipe: EngineRecipe | None) -> Validation:
    """What is asked for, else as its recipe says; but for files, which lie elsewhere."""
    if recipe is None or request.validation != Validation():
        return request.validation
    return msgspec.structs.replace(recipe.validation, inputs=None)


def _as_built(
    manifest: EngineManifest, before: EngineManifest, *, model: str, validation: Validation
) -> None:
    """What an import says of itself, and what its builder said of it.

    With the key that it would have if it were built here: by the same TensorRT for the same GPU
    that is the one that it had.
    """
    here, built = manifest.parts, before.parts
    recipe = built.recipe and msgspec.structs.replace(
        built.recipe, model=model, validation=validation
    )
    found = msgspec.structs.replace(built, recipe=recipe)
    if here.gpu is not None and built.gpu is not None:
        found = msgspec.structs.replace(found, **{name: getattr(here, name) for name in OF_THE_GPU})
    manifest.parts, manifest.key = found, engine_key(found)
    manifest.build_seconds, manifest.layers = before.build_seconds, before.layers
    manifest.peak_memory_bytes, manifest.warnings = before.peak_memory_bytes, before.warnings
    manifest.files = before.files


async def _copied(source: Path, target: Path, root: Path) -> PlanHeader:
    try:
        return await asyncio.to_thread(lambda: copy_plan(here(source, root), target))
    except OSError as error:
        if error.filename == str(target):
            raise
        raise ProblemError(
            "engine.plan",
            f"{source}: {error.strerror}",
            params={"file": str(source)},
            hint="Name a plan that lies on the node, by its whole path there.",
        ) from None


def _say(work: Work[PlanImportRequest], header: PlanHeader) -> None:
    work.log(f"a plan of {header.flavour} {header.tensorrt}")
    if header.begins_at:
        known = ", ".join(sorted(header.metadata)) or "nothing"
        work.log(f"{header.begins_at} bytes of Ultralytics before it were taken off: {known}")


def _compare(header: PlanHeader, looked: Looked, *, can_try: bool) -> bool:
    """Whether the TensorRT here is the one that built it, as far as it tells its version.

    Raises:
        ProblemError: `engine.unfit`: it cannot load the plan.
    """
    builder = looked.builder
    here = f"{builder.flavour} {builder.version}"
    was = f"the plan is of {header.flavour} {header.tensorrt}, here is {here}"
    version = [int(part) for part in builder.version.split(".") if part.isdigit()][:4]
    built = header.version[: len(version)]  # "10.3.0" is all that some say of themselves
    if header.flavour != builder.flavour:
        raise _unfit(was)
    if built == version:
        return True
    # An older one may have been built version-compatible, which nothing in its header tells.
    if built > version or not can_try:
        raise _unfit(was)
    return False


def _unfit(text: str) -> ProblemError:
    return ProblemError(
        "engine.unfit",
        text,
        hint="Build it here from its ONNX, or name an image with that TensorRT.",
    )
