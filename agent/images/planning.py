"""Planning a load: what is there, what has to come, whether it fits. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from agent.archives.platforms import Platform, best
from agent.containers.runtime import ContainerRuntime
from agent.images.blobs import Blobs
from agent.images.records import ImageRecords
from agent.images.space import RUNTIME_FACTOR, Claim, Space
from agent.images.uploads import Uploads
from agent.protocol.images import (
    Freeable,
    ImageContent,
    LoadPlan,
    NodeImage,
    SpaceNeed,
    WantedLayer,
)
from agent.protocol.node import RuntimeFacts
from agent.protocol.problems import ProblemError
from agent.rules.loading import Load, check_content, plan_load, platform_of


class Planned(msgspec.Struct, kw_only=True):
    """A plan with what it was made from."""

    load: Load
    answer: LoadPlan
    claims: list[Claim]

    def check(self) -> None:
        """Raises ProblemError: why the load would be refused, if it would be."""
        for problem in self.answer.problems:
            raise ProblemError.from_problem(problem)


class Planner:
    """Makes plans for one node. All methods raise ProblemError `runtime.*`."""

    def __init__(
        self,
        *,
        runtime: ContainerRuntime,
        blobs: Blobs,
        uploads: Uploads,
        records: ImageRecords,
        space: Space,
        folder: Path | None,
        platform: Platform,
    ) -> None:
        """`folder` has the blobs, None: no disk does; `platform` is what this node runs."""
        self.runtime, self._blobs, self._uploads = runtime, blobs, uploads
        self.records, self._space = records, space
        self._folder, self._platform = folder, platform

    async def images(self) -> list[NodeImage]:
        """The runtime's images, with what the agent knows of them."""
        return await asyncio.to_thread(self.records.told, await self.runtime.images())

    async def plan(
        self,
        contents: Sequence[ImageContent],
        *,
        on_node: Collection[str] = (),
        holder: str | None = None,
    ) -> Planned:
        """What it takes to have these images.

        Args:
            on_node: diff_ids of layers that need not be sent: they lie in a file on this node.
            holder: the job that asks, if it has reserved space already.

        Raises:
            ProblemError: `image.config`, `image.reference`, `runtime.*`.
        """
        for content in contents:
            check_content(content)
        images = await self.images()
        facts = await self.runtime.facts()
        blobs = {blob.diff_id for blob in await asyncio.to_thread(self._blobs.list)}
        load = plan_load(contents, images=images, blobs={*blobs, *on_node}, store=facts.image_store)
        wanted = self._wanted(load)
        claims = self._claims(load, wanted, facts)
        space = await asyncio.to_thread(self._space.needs, claims, holder=holder)
        frees = await self._frees(space, images, {layer.diff_id for layer in load.needed})
        problems = [
            *(self._unfit(content) for content in contents),
            *(_short(need, frees) for need in space),
        ]
        return Planned(
            load=load,
            answer=LoadPlan(
                images=load.images,
                wanted=wanted,
                space=space,
                frees=frees,
                problems=[problem.problem() for problem in problems if problem is not None],
            ),
            claims=claims,
        )

    def _wanted(self, load: Load) -> list[WantedLayer]:
        found = []
        for layer in load.wanted:
            upload = self._uploads.find(layer.diff_id)
            found.append(
                WantedLayer(
                    diff_id=layer.diff_id,
                    size_bytes=layer.size_bytes,
                    upload=None if upload is None else upload.record.id,
                    encoder=None if upload is None else upload.record.encoder,
                    received_bytes=0 if upload is None else upload.offset,
                )
            )
        return found

    def _claims(
        self, load: Load, wanted: Sequence[WantedLayer], facts: RuntimeFacts
    ) -> list[Claim]:
        claims = []
        arriving = sum(max(0, layer.size_bytes - layer.received_bytes) for layer in wanted)
        if arriving and self._folder is not None:
            claims.append(Claim(str(self._folder), "blobs", arriving))
        unpacked = sum(layer.size_bytes for layer in load.needed)
        factor = RUNTIME_FACTOR[facts.image_store]
        if unpacked and factor and facts.root_dir:
            claims.append(Claim(facts.root_dir, "runtime", int(unpacked * factor)))
        return claims

    async def _frees(
        self, space: Sequence[SpaceNeed], images: Sequence[NodeImage], kept: Collection[str]
    ) -> list[Freeable]:
        """What would have to go, the longest unused first; nothing where all fits."""
        frees: list[Freeable] = []
        for need in space:
            lacking = need.needed_bytes - need.free_bytes
            for candidate in await self._candidates(need, images, kept) if lacking > 0 else ():
                frees.append(candidate)
                lacking -= candidate.size_bytes
                if lacking <= 0:
                    break
        return frees

    async def _candidates(
        self, need: SpaceNeed, images: Sequence[NodeImage], kept: Collection[str]
    ) -> list[Freeable]:
        found = []
        if "blobs" in need.purposes:
            blobs = await asyncio.to_thread(self._blobs.list)
            found += [
                Freeable(kind="blob", name=blob.diff_id, size_bytes=blob.stored_bytes)
                for blob in blobs
                if blob.diff_id not in kept
            ]
        if "runtime" in need.purposes:
            usage = await self.runtime.image_usage()
            for image in sorted(images, key=lambda image: image.created_at or 0):
                alone = usage.alone_bytes.get(image.id, 0)
                if image.protected is None and alone:
                    name = image.tags[0] if image.tags else image.id
                    found.append(Freeable(kind="image", name=name, size_bytes=alone))
        return found

    def _unfit(self, content: ImageContent) -> ProblemError | None:
        made_for = Platform(*platform_of(content))
        if not made_for.architecture or best(self._platform, [(made_for, True)]):
            return None
        name = ", ".join(content.tags) or "the image"
        return ProblemError(
            "image.platform",
            f"{name} is for {made_for}, this node is {self._platform}",
            params={"image": name, "image_platform": str(made_for), "node": str(self._platform)},
            hint=f"Save it for this platform: docker pull --platform {self._platform} ...",
        )


def _short(need: SpaceNeed, frees: Sequence[Freeable]) -> ProblemError | None:
    freed = sum(item.size_bytes for item in frees)
    lacking = need.needed_bytes - need.free_bytes - freed
    if lacking <= 0:
        return None
    return ProblemError(
        "space.short",
        f"{need.needed_bytes} bytes are needed at {need.path}, {need.free_bytes} are free and"
        f" {freed} could be freed",
        params={
            "path": need.path,
            "needed_bytes": need.needed_bytes,
            "free_bytes": need.free_bytes,
            "freeable_bytes": freed,
        },
        hint="Remove images that are not needed: roost image ls, roost image rm.",
    )
