"""The job `engine.look`: which engine a recipe makes here, and whether it is there."""

from __future__ import annotations

import asyncio

import msgspec

from agent.engines.sharing import Sharing
from agent.engines.workshop import LOOK_SECONDS, Workshop
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.engines import BuildRequest
from agent.rules.engine_keys import engine_key

LOOK = "engine.look"


class LookKind(JobKind[BuildRequest]):
    """Builds nothing. A job, since a model of some gigabytes is read whole for its digest."""

    name = LOOK
    request_type = BuildRequest
    resumable = True
    joins = True
    at_once = 2

    def __init__(self, shop: Workshop, sharing: Sharing) -> None:
        self._shop, self._sharing = shop, sharing

    def subject(self, request: BuildRequest) -> str:
        return request.recipe.model

    def identity(self, request: BuildRequest) -> BuildRequest:
        return msgspec.structs.replace(request, shared=None)

    async def run(self, work: Work[BuildRequest]) -> dict[str, str]:
        shop, recipe = self._shop, work.request.recipe
        await work.stage("looking", LOOK_SECONDS)
        gpu = shop.gpu(work.request.gpu)
        looked = await shop.look(work, recipe.executor, recipe.image, gpu)
        parts, _ = await shop.parts(recipe, looked, gpu)
        key = engine_key(parts)

        def is_there() -> bool:
            there = shop.store.find(recipe.model, key)
            return there is not None and shop.store.damage(there) is None

        alone = self._sharing.refusal()
        return {
            "model": recipe.model,
            "key": key,
            "there": "yes" if await asyncio.to_thread(is_there) else "no",
            **({"alone": alone} if alone else {}),
        }
