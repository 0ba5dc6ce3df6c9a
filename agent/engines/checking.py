"""Engines that are there already, tried again where they lie."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from agent.engines.host_executor import Looked
from agent.engines.plan_files import take_outputs
from agent.engines.store import EngineStore
from agent.engines.workshop import CHECK_SECONDS, KEPT_OUTPUTS, OUT, Workshop
from agent.jobs.work import Work
from agent.protocol.engines import Engine, EngineManifest, Validation
from agent.protocol.gpus import Gpu
from agent.protocol.problems import ProblemError
from agent.rules.engine_stale import next_in_use, tried_under, why_not_good

# Of an engine itself; others say nothing about it. How long it takes depends on what else runs.
UNFIT = ("engine.unfit", "engine.plan")
ITS_OWN = (*UNFIT, "engine.outputs")


class Checking:
    """Tries engines of one node, and has their manifests say what was seen."""

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop

    def needed(
        self, manifest: EngineManifest, gpu: Gpu | None, validation: Validation
    ) -> str | None:
        """Why it must be tried before it is used; None: it need not, or it cannot be."""
        if gpu is None:
            return None
        if why := why_not_good(manifest):
            return why
        if manifest.check is not None and manifest.check.gpu not in (None, gpu.uuid):
            return "it was tried on another GPU"
        recipe = manifest.parts.recipe
        if recipe is not None and recipe.validation != validation:
            return "another validation is asked for"
        before, now = tried_under(manifest), self._shop.driver()
        return None if before == now else f"the driver was {before}, and is {now}"

    async def check(
        self,
        work: Work[Any],
        engine: Engine,
        looked: Looked,
        gpu: Gpu | None,
        validation: Validation,
        *,
        remember: bool = False,
    ) -> EngineManifest:
        """Its manifest as it is now. What is wrong with the engine is in it, too.

        `remember`: the validation is its recipe's from now on; it is no part of the key.

        Raises:
            ProblemError: as `Workshop.run` and `Workshop.checked`; `engine.not_found`.
        """
        shop, manifest = self._shop, engine.manifest
        await work.stage("checking", CHECK_SECONDS)
        async with shop.place(engine.model, f"check-{work.job.id}") as place:
            try:
                await asyncio.to_thread(_is_whole, shop.store, engine)
                told = await shop.run(
                    work,
                    place,
                    looked,
                    gpu,
                    recipe=manifest.parts.recipe,
                    validation=validation,
                    plan=Path(engine.path),
                    onnx_too=await asyncio.to_thread(self._unchanged, manifest),
                )
                check = shop.checked(told, validation, gpu)
            except ProblemError as problem:
                recipe = manifest.parts.recipe
                stricter = recipe is not None and recipe.validation != validation
                # What another validation finds wrong is as good as it was.
                if problem.code in UNFIT or (problem.code in ITS_OWN and not stricter):
                    instead = await asyncio.to_thread(self._bad, engine, problem.detail)
                    if instead is not None:
                        work.log(instead)
                        raise ProblemError(
                            problem.code,
                            f"{problem.detail}; {instead}",
                            params=problem.params,
                            hint=problem.hint,
                        ) from None
                raise
            outputs = place / "outputs"
            await asyncio.to_thread(take_outputs, place / OUT / KEPT_OUTPUTS, outputs)
            amended = msgspec.structs.replace(
                manifest,
                verification=check.state,
                verification_reason=check.reason,
                check=check,
            )
            if remember and manifest.parts.recipe is not None:
                recipe = msgspec.structs.replace(manifest.parts.recipe, validation=validation)
                amended.parts = msgspec.structs.replace(manifest.parts, recipe=recipe)
            kept = outputs if await asyncio.to_thread(outputs.is_dir) else None
            await asyncio.to_thread(shop.store.amend, engine.model, amended, kept)
        return amended

    def _bad(self, engine: Engine, why: str) -> str | None:
        """It is not good any more: `current` goes to one that is. What it did, in words. Blocks."""
        store, manifest = self._shop.store, engine.manifest
        instead = None
        there = store.list(engine.model)
        if any(each.current and each.manifest.key == manifest.key for each in there):
            facts = self._shop.facts()
            whole = [each for each in there if store.damage(each, read=True) is None]
            found = next_in_use(whole, manifest.key, facts.gpus, facts.gpu_stack.driver_version)
            if found is None:
                store.use_none(engine.model)
                instead = f"no engine of {engine.model} is in use any more"
            else:
                store.use(engine.model, found.manifest.key)
                instead = f"engine {found.manifest.key[:12]}, the one before, is in use now"
        # After that: `current` never points at one that is known to be bad.
        failed = msgspec.structs.replace(manifest, verification="header", verification_reason=why)
        store.amend(engine.model, failed)
        return instead

    def _unchanged(self, manifest: EngineManifest) -> bool:
        """Whether what it was built from is there as it was: else it computes something else."""
        try:
            return not any(self._shop.digests.changed(each) for each in manifest.files)
        except (OSError, ProblemError):
            return False


def _is_whole(store: EngineStore, engine: Engine) -> None:
    """Blocks. Raises ProblemError `engine.plan`."""
    if why := store.damage(engine, read=True):
        raise ProblemError("engine.plan", why, hint="Build it anew, or import it again.")
