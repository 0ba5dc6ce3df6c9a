"""What becomes of an engine that was made: kept, and used where it is good."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from agent.engines.host_executor import Looked
from agent.engines.plan_files import clear, take_outputs
from agent.engines.store import LOG, OUTPUTS, PLAN
from agent.engines.workshop import KEPT_OUTPUTS, OUT, Workshop
from agent.jobs.work import Work
from agent.protocol.engines import EngineManifest
from agent.protocol.gpus import Gpu
from agent.protocol.problems import ProblemError
from agent.rules.engine_stale import why_not_good


def keep_made(
    shop: Workshop,
    place: Path,
    model: str,
    manifest: EngineManifest,
    made_by: Looked,
    gpu: Gpu | None,
) -> None:
    """Keep what is in a job's folder once it was tried: plan, outputs, log; the rest goes. Blocks.

    Raises:
        OSError, and what `keep_unless_worse` raises.
    """
    take_outputs(place / OUT / KEPT_OUTPUTS, place / OUTPUTS)
    clear(place, but=(PLAN, OUTPUTS, LOG))
    shop.seed(place, made_by, gpu)
    keep_unless_worse(shop, place, model, manifest)


def keep_unless_worse(shop: Workshop, place: Path, model: str, manifest: EngineManifest) -> None:
    """Keep what was built. Blocks.

    Raises:
        ProblemError: `engine.not_verified`: one of its key was found good, this one was not, and
            `current` may point there; `engine.storage`.
    """
    before = shop.store.find(model, manifest.key)
    why = why_not_good(manifest)
    if (
        before is not None
        and why is not None
        and why_not_good(before.manifest) is None
        and shop.store.damage(before, read=True) is None
    ):
        raise ProblemError(
            "engine.not_verified",
            f"the engine before stays; of the new one with its key: {why}",
            params={"model": model, "key": manifest.key},
            hint="Remove that one first, if the new one shall be kept as it is.",
        )
    shop.store.keep(place, model, manifest)


async def use_if_good(work: Work[Any], shop: Workshop, model: str, manifest: EngineManifest) -> str:
    """Have `current` point at it if that may be, and remove what is one too many; what was done."""
    why = why_not_good(manifest)
    if why is None:
        await asyncio.to_thread(shop.store.use, model, manifest.key)
    if await asyncio.to_thread(shop.store.too_many, model, keep=shop.keep):
        try:
            handed = await shop.handed()
        except ProblemError as problem:
            work.log(f"no engine is removed, since who has which cannot be told: {problem.detail}")
        else:
            await asyncio.to_thread(shop.store.prune, model, keep=shop.keep, handed=handed)
    return "yes" if why is None else f"not switched: {why}"
