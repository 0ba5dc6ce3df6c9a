"""A node that has an engine and serves it to its site, and one that fetches it from there."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from agent.images.blobs import StoredBlob
from agent.protocol.engines import BuildRequest, EngineRecipe, SharedPlan
from agent.protocol.jobs import Job
from agent.protocol.site import GrantRequest
from tests.agent.engines.engine_side import EngineSide
from tests.agent.site.pair import Side


class Seed:
    """A node that has built the engine and serves it; `instead` is what it answers with instead."""

    site: Side

    def __init__(self, engines: EngineSide) -> None:
        self.engines = engines
        self.instead: Callable[[], BinaryIO] | None = None
        self.also: dict[str, bytes] = {}  # by digest

    def open(self, digest: str) -> StoredBlob | None:
        if (data := self.also.get(digest)) is not None:
            return StoredBlob(io.BytesIO(data), len(data), len(data), compressed=False)
        found = self.engines.engines.plan_named(digest)
        if found is None or self.instead is None:
            return found
        found.file.close()
        return found._replace(file=self.instead())

    async def plan(self) -> SharedPlan:
        """As a console hears of it."""
        (engine,) = await self.engines.engines.show("detector")
        made = engine.manifest
        request = GrantRequest(diff_ids=[f"sha256:{made.plan_sha256}"])
        return SharedPlan(
            grant=await self.site.site.grant(request),
            key=made.key,
            plan_sha256=made.plan_sha256,
            plan_bytes=made.plan_bytes,
            build_seconds=made.build_seconds,
            layers=made.layers,
        )


class Taker(NamedTuple):
    """A node with the same GPU and the same model."""

    engines: EngineSide
    files: Side

    async def begin(self, recipe: EngineRecipe, shared: SharedPlan) -> Job:
        """The job that has that engine."""
        request = BuildRequest(recipe=recipe, shared=shared)
        return await self.engines.engines.build(request, owner="maria", key=None)

    async def take(self, recipe: EngineRecipe, shared: SharedPlan) -> Job:
        """The job, ended."""
        return await self.engines.ended(await self.begin(recipe, shared))

    def leftovers(self) -> list[str]:
        """Of bytes that were fetched."""
        folder = self.files.folder
        found = [*(folder / "blobs").glob("*"), *(folder / "uploads").glob("*.data")]
        return [path.name for path in found]
