"""Engines of other nodes of the site: fetched, and tried as those that are built here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import NamedTuple, cast

from agent.engines.host_executor import Looked
from agent.engines.keeping import keep_made
from agent.engines.plan_files import regular, take_plan
from agent.engines.store import PLAN, EngineStore
from agent.engines.told import Told
from agent.engines.workshop import (
    CHECK_SECONDS,
    KEEP_SECONDS,
    LOOK_SECONDS,
    Workshop,
)
from agent.images.blobs import StoredBlob
from agent.jobs.work import Work
from agent.protocol.engine_figures import EngineCheck
from agent.protocol.engines import (
    BuildRequest,
    EngineManifest,
    EngineParts,
    ModelFile,
    SharedPlan,
)
from agent.protocol.gpus import Gpu
from agent.protocol.images import Layer
from agent.protocol.problems import ProblemError
from agent.rules.engine_keys import engine_key
from agent.site.fetching import Fetcher

FETCHING, CHECKING = "fetching", "checking"
# A megabyte comes in that time, or none will.
SILENT_SECONDS = 120.0
NO_FETCHER = "nothing can be fetched there"
SIGNED_ONLY = "policy.require_signature is on there, and nobody signs a plan"
_FETCHED = "fetched"  # its name in the job's folder, until it has been read


class Wanted(NamedTuple):
    """The engine that a job shall have here."""

    parts: EngineParts
    files: list[ModelFile]
    looked: Looked
    gpu: Gpu | None
    compare: Path | None  # outputs that its own are compared with


class Sharing:
    """Takes engines of other nodes on one node.

    Args:
        fetcher: None: nothing can be fetched here.
        only_signed: the node takes nothing that nobody vouches for.
    """

    def __init__(self, shop: Workshop, fetcher: Fetcher | None, *, only_signed: bool) -> None:
        self._shop, self._fetcher, self._only_signed = shop, fetcher, only_signed

    def refusal(self) -> str | None:
        """Why none is taken here, in words; None: they are."""
        if self._fetcher is None:
            return NO_FETCHER
        return SIGNED_ONLY if self._only_signed else None

    async def take(
        self, work: Work[BuildRequest], shared: SharedPlan, wanted: Wanted
    ) -> tuple[EngineManifest | None, dict[str, str]]:
        """The engine, and what the job's result says of it; None: it has to be built, and why.

        Raises:
            ProblemError: `engine.gpu_busy`: it can be built no more than tried.
        """
        node = shared.grant.node
        try:
            self._check(shared, engine_key(wanted.parts))
            manifest = await self._taken(work, shared, wanted)
        except ProblemError as problem:
            if problem.code == "engine.gpu_busy":
                raise
            why = f"the plan of {node} was not taken: {problem.detail}"
            work.log(f"it is built here: {why}")
            return None, {"not_shared": why}
        return manifest, {"engine": "shared", "from": node}

    def _check(self, shared: SharedPlan, key: str) -> None:
        why = self.refusal()
        if why is None and shared.key != key:
            why = f"its key is {shared.key[:12]}, and that of the engine here {key[:12]}"
        if why is not None:
            raise ProblemError("engine.unfit", why)

    async def _taken(
        self, work: Work[BuildRequest], shared: SharedPlan, wanted: Wanted
    ) -> EngineManifest:
        shop, model = self._shop, work.request.recipe.model
        fetcher = cast("Fetcher", self._fetcher)
        layer = Layer(diff_id=f"sha256:{shared.plan_sha256}", size_bytes=shared.plan_bytes)
        try:
            await _fetch(work, fetcher, shared, layer)
            await work.stage(FETCHING, LOOK_SECONDS)  # it is read whole, however large it is
            async with shop.place(model, work.job.id) as place:
                await fetcher.take(layer, place / _FETCHED)
                version = await asyncio.to_thread(_read, place, shared, wanted.parts)
                check = await self._tried(work, place, wanted)
                await work.stage(CHECKING, KEEP_SECONDS)
                manifest = _manifest(work, shared, wanted, version, check)
                manifest.driver_version = shop.driver()
                await asyncio.to_thread(
                    keep_made, shop, place, model, manifest, wanted.looked, wanted.gpu
                )
        except ProblemError:
            with contextlib.suppress(ProblemError):
                await fetcher.forget(layer)
            raise
        work.log(f"engine {manifest.key[:12]} of {shared.grant.node}, {manifest.plan_bytes} bytes")
        return manifest

    async def _tried(self, work: Work[BuildRequest], place: Path, wanted: Wanted) -> EngineCheck:
        """As what is built here is tried once it is there."""
        shop, recipe = self._shop, work.request.recipe

        async def run() -> Told:
            await work.stage(CHECKING, CHECK_SECONDS)
            return await shop.run(
                work,
                place,
                wanted.looked,
                wanted.gpu,
                recipe=recipe,
                validation=recipe.validation,
                plan=place / PLAN,
                compare=wanted.compare,
            )

        told = await shop.with_room(work, recipe, wanted.gpu, run)
        return shop.checked(told, recipe.validation, wanted.gpu)


def plan_named(store: EngineStore, digest: str) -> StoredBlob | None:
    """The plan of an engine by its own digest, "sha256:..."; None: there is none.

    Blocks. What it has become since it was kept is for who reads it to find out.
    """
    for engine in store.list():
        if f"sha256:{engine.manifest.plan_sha256}" == digest:
            with contextlib.suppress(OSError):
                file = regular(Path(engine.path))
                size = os.fstat(file.fileno()).st_size
                return StoredBlob(file, size, size, compressed=False)
    return None


async def _fetch(
    work: Work[BuildRequest], fetcher: Fetcher, shared: SharedPlan, layer: Layer
) -> None:
    async def moved() -> None:
        await work.stage(FETCHING, SILENT_SECONDS)
        work.progress(fetcher.there(layer), layer.size_bytes)

    work.log(f"its plan comes from {shared.grant.node}, {shared.plan_bytes} bytes")
    await moved()
    came = await fetcher.fetch(shared.grant, layer, moved=moved, log=work.log)
    work.log(f"{came} bytes came")


def _read(place: Path, shared: SharedPlan, parts: EngineParts) -> list[int]:
    """The version in the plan's header. Blocks. Raises OSError; ProblemError `engine.plan`."""
    header, digest, size = take_plan(place / _FETCHED, place / PLAN)
    same = digest == shared.plan_sha256 and size == shared.plan_bytes
    if not same or header.flavour != parts.flavour:
        raise ProblemError(
            "engine.plan",
            f"{size} bytes of {header.flavour} came, and {shared.plan_bytes} of {parts.flavour}"
            " were told of",
        )
    return header.version


def _manifest(
    work: Work[BuildRequest],
    shared: SharedPlan,
    wanted: Wanted,
    version: list[int],
    check: EngineCheck,
) -> EngineManifest:
    return EngineManifest(
        key=shared.key,
        parts=wanted.parts,
        gpu_uuid=wanted.gpu.uuid if wanted.gpu else None,
        built_at=time.time(),
        build_seconds=shared.build_seconds,
        peak_memory_bytes=shared.peak_memory_bytes,
        plan_bytes=shared.plan_bytes,
        plan_sha256=shared.plan_sha256,
        plan_version=version,
        layers=shared.layers,
        warnings=shared.warnings,
        verification=check.state,
        verification_reason=check.reason,
        check=check,
        files=wanted.files,
        image_name=work.request.recipe.image,
        shared_from=shared.grant.node,
        job=work.job.id,
    )
