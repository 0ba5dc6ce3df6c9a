"""The job `engine.verify`: an engine that is there, tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from agent.engines.checking import Checking
from agent.engines.workshop import LOOK_SECONDS, Workshop
from agent.jobs.kind import JobKind
from agent.jobs.work import Work
from agent.protocol.engines import Engine, Model, Validation, VerifyRequest
from agent.protocol.problems import ProblemError
from agent.rules.engine_stale import why_not_good

VERIFY = "engine.verify"


class VerifyJob(msgspec.Struct, kw_only=True):
    """What is kept of a request: `key` is whole."""

    model: Model
    key: str
    gpu: str | None = None
    validation: Validation | None = None


class VerifyKind(JobKind[VerifyJob]):
    """Tries an engine, and has its manifest say what was seen."""

    name = VERIFY
    request_type = VerifyJob
    resumable = True  # it is tried from the start
    joins = True
    at_once = None

    def __init__(self, shop: Workshop, checking: Checking) -> None:
        self._shop, self._checking = shop, checking

    def subject(self, request: VerifyJob) -> str:
        return f"{request.model} {request.key[:12]}"

    def locks(self, request: VerifyJob) -> Sequence[str]:
        return self._shop.locks(request.gpu, request.model)

    async def run(self, work: Work[VerifyJob]) -> dict[str, str]:
        shop, request = self._shop, work.request
        await work.stage("looking", LOOK_SECONDS)
        gpu = shop.gpu(request.gpu)
        if gpu is None:
            raise ProblemError(
                "engine.no_gpu",
                "there is no GPU here to try it on",
                hint="Engines are tried on the node that runs them.",
            )
        engine = await asyncio.to_thread(shop.store.get, request.model, request.key)
        manifest = engine.manifest
        recipe = manifest.parts.recipe
        image = manifest.image_name
        looked = await shop.look(work, "container" if image else "host", image, gpu)
        validation = request.validation or (recipe.validation if recipe else Validation())
        manifest = await self._checking.check(work, engine, looked, gpu, validation)
        why = why_not_good(manifest)
        now = await asyncio.to_thread(shop.store.get, request.model, request.key)
        return {
            "model": request.model,
            "key": request.key,
            "verification": manifest.verification,
            "current": "yes" if now.current else "no",  # it never switches to what it tried
            **({"reason": why} if why else {}),
        }


def request_of(engine: Engine, asked: VerifyRequest) -> VerifyJob:
    """The job that a request is for."""
    return VerifyJob(
        model=engine.model,
        key=engine.manifest.key,
        gpu=asked.gpu or engine.manifest.gpu_uuid,
        validation=asked.validation,
    )
