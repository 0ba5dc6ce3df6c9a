"""Planning a load: what is there, what has to come, whether it fits. Changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from agent.archives.platforms import Platform, best
from agent.containers.runtime import ContainerRuntime
from agent.images.blobs import Blobs
from agent.images.freeing import Freeing
from agent.images.placed_files import PlacedFiles
from agent.images.records import ImageRecords
from agent.images.space import (
    RUNTIME_FACTOR,
    TEMPORARY_FACTOR,
    TEMPORARY_FOLDER,
    Claim,
    Space,
)
from agent.images.uploads import Uploads
from agent.images.vouching import Vouching
from agent.protocol.images import ImageContent, Layer, LoadPlan, NodeImage, WantedLayer
from agent.protocol.node import RuntimeFacts
from agent.protocol.node_files import FOLDERS, NodeFile, check_files
from agent.protocol.problems import ProblemError
from agent.protocol.signatures import SignedManifest
from agent.rules.loading import Load, check_contents, plan_load, platform_of


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
    """Makes plans for one node."""

    def __init__(
        self,
        *,
        runtime: ContainerRuntime,
        blobs: Blobs,
        uploads: Uploads,
        records: ImageRecords,
        space: Space,
        freeing: Freeing,
        files: PlacedFiles,
        folder: Path | None,
        platform: Platform,
        vouching: Vouching | None = None,
    ) -> None:
        """`folder` has the blobs, None: no disk does; `platform` is what this node runs.

        `vouching` None: anybody may bring images.
        """
        self._runtime, self._blobs, self._uploads = runtime, blobs, uploads
        self._records, self._space, self._freeing = records, space, freeing
        self._files = files
        self._folder, self._platform, self._vouching = folder, platform, vouching

    async def images(self) -> list[NodeImage]:
        """The runtime's images, with what the agent knows of them. Raises `runtime.*`."""
        return await asyncio.to_thread(self._records.told, await self._runtime.images())

    async def plan(
        self,
        contents: Sequence[ImageContent],
        files: Sequence[NodeFile] = (),
        *,
        signed: Sequence[SignedManifest] = (),
        on_node: Collection[str] = (),
        copied: bool = False,
        holder: str | None = None,
        make_room: bool = False,
    ) -> Planned:
        """What it takes to have these images and files.

        Args:
            signed: who vouches for them.
            on_node: diff_ids of layers that need not be sent: they lie in a file on this node.
            copied: those become blobs before they are loaded.
            holder: the job that asks, if it has reserved space already.
            make_room: images may be removed for it; without it, where that would be needed, the
                answer says which ones, and has `space.short`.

        Raises:
            ProblemError: `image.config`, `image.reference`, `file.clash`, `runtime.*`,
                `blob.storage`, `key.storage`.
        """
        check_contents(contents)
        check_files(files)
        # Files alone need no runtime.
        images = await self.images() if contents else []
        facts = await self._runtime.facts() if contents else None
        blobs = {blob.diff_id for blob in await asyncio.to_thread(self._blobs.list)}
        there = {*blobs, *on_node}
        store = None if facts is None else facts.image_store
        load = plan_load(contents, images=images, blobs=there, store=store)
        placing = await asyncio.to_thread(self._files.plan, files)
        lacking = [each.file for each in placing if each.state == "place"]
        wanted = self._wanted([*load.wanted, *_content_of(lacking, there)])
        arriving = sum(max(0, layer.size_bytes - layer.received_bytes) for layer in wanted)
        if copied:
            coming = {*on_node} - blobs
            arriving += sum(each.size_bytes for each in load.needed if each.diff_id in coming)
        claims = await asyncio.to_thread(self._claims, arriving, load, facts, lacking)
        space = self._space.needs(claims, holder=holder)
        room = await self._freeing.choose(
            space, images, contents, load, files=files, holder=holder, make_room=make_room
        )
        unfit = await self._unsigned(contents, files, signed)
        unfit += [problem for each in contents if (problem := self._unfit(each))]
        return Planned(
            load=load,
            answer=LoadPlan(
                images=load.images,
                files=placing,
                wanted=wanted,
                space=space,
                frees=room.frees,
                problems=[problem.problem() for problem in (*unfit, *room.short)],
            ),
            claims=claims,
        )

    def _wanted(self, layers: Sequence[Layer]) -> list[WantedLayer]:
        found = []
        for layer in layers:
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
        self, arriving: int, load: Load, facts: RuntimeFacts | None, files: Sequence[NodeFile]
    ) -> list[Claim]:
        """What is still to be written, and where. Blocks."""
        claims = []
        if arriving and self._folder is not None:
            claims.append(self._space.claim(str(self._folder), "blobs", arriving))
        if files and (folder := self._files.folder) is not None:
            for kind in dict.fromkeys(file.kind for file in files):
                needed = sum(file.size_bytes for file in files if file.kind == kind)
                claims.append(self._space.claim(str(folder / FOLDERS[kind]), "files", needed))
        if facts is None:
            return claims
        unpacked = sum(layer.size_bytes for layer in load.needed)
        factor = RUNTIME_FACTOR[facts.image_store]
        if unpacked and factor and facts.root_dir:
            claims.append(self._space.claim(facts.root_dir, "runtime", int(unpacked * factor)))
        temporary = int(unpacked * TEMPORARY_FACTOR.get(facts.image_store, 0.0))
        if temporary:
            claims.append(self._space.claim(TEMPORARY_FOLDER, "temporary", temporary))
        return claims

    async def _unsigned(
        self,
        contents: Sequence[ImageContent],
        files: Sequence[NodeFile],
        signed: Sequence[SignedManifest],
    ) -> list[ProblemError]:
        if self._vouching is None or not self._vouching.required:
            return []
        return await asyncio.to_thread(self._vouching.problems, contents, signed, files)

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


def _content_of(files: Sequence[NodeFile], there: Collection[str]) -> list[Layer]:
    """What has to be sent for these, each once."""
    sizes = {file.sha256: file.size_bytes for file in files if file.sha256 not in there}
    return [Layer(diff_id=digest, size_bytes=size) for digest, size in sizes.items()]
