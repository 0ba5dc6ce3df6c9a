"""Making room: what may go, in which order, and its removal."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from anyio import move_on_after

from agent.containers.images_results import ImageUsage
from agent.containers.runtime import ContainerRuntime
from agent.images.blobs import Blobs
from agent.images.keeping import Keeper
from agent.images.records import ImageRecords
from agent.images.shortage import needs_a_word, too_little
from agent.images.uploads import Uploads
from agent.protocol.images import MADE_ROOM, Freeable, ImageContent, NodeImage, SpaceNeed
from agent.protocol.node_files import NodeFile
from agent.protocol.problems import ProblemError
from agent.rules.chains import chain_ids
from agent.rules.loading import Load, config_digest, is_verified
from agent.rules.sizes import size

# A plan is an answer that somebody waits for; the runtime counts for minutes on a bad disk.
USAGE_SECONDS = 10.0
# A console has a job, which pins its layers; other tus clients write on sooner than that.
ABANDONED_SECONDS = 10.0

_WORDS = {"blob": "layer", "upload": "part of layer", "image": "image"}


class Room(NamedTuple):
    """What would be removed, and what would be lacking nevertheless."""

    frees: list[Freeable]
    short: list[ProblemError]  # `space.short`


class Freeing:
    """Removes only what Roost itself brought to the node, and never what is protected."""

    def __init__(
        self,
        *,
        runtime: ContainerRuntime,
        blobs: Blobs,
        uploads: Uploads,
        keeper: Keeper,
        records: ImageRecords,
    ) -> None:
        self._runtime, self._blobs, self._uploads = runtime, blobs, uploads
        self._keeper, self._records = keeper, records

    async def choose(
        self,
        space: Sequence[SpaceNeed],
        images: Sequence[NodeImage],
        contents: Sequence[ImageContent],
        load: Load,
        *,
        files: Sequence[NodeFile] = (),
        holder: str | None,
        make_room: bool,
    ) -> Room:
        """What has to go to make room for a load; nothing where all fits, or nothing would do.

        Layers may go unasked, they are a cache: first those of which only a part came for a job
        that has ended. Images may with `make_room`; without it, what would go is told, and `short`
        says so.

        Raises:
            ProblemError: `runtime.*`, `store.*`.
        """
        frees: list[Freeable] = []
        short: list[ProblemError] = []
        kept = self._keeper.pinned(but=holder) | {layer.diff_id for layer in load.needed}
        kept |= {config_digest(content) for content in contents}
        kept |= {file.sha256 for file in files}
        for need in space:
            lacking = need.needed_bytes - need.free_bytes
            if lacking <= 0:
                continue
            found: list[Freeable] = []
            usage = ImageUsage()
            if "blobs" in need.purposes:
                found += self._uploads_but(kept)
                found += await self._blobs_but(kept)
            if "runtime" in need.purposes:
                usage = await self._usage()
                found += await self._images_but(kept, images, chains_used(contents, load), usage)
            chosen = enough(found, lacking)
            if chosen is None:
                freeable = sum(item.size_bytes for item in found)
                short.append(too_little(need, freeable, usage.reason))
                continue
            frees += chosen
            if not make_room and any(item.kind == "image" for item in chosen):
                short.append(needs_a_word(need, chosen))
        return Room(frees, short)

    async def make_room(
        self, frees: Sequence[Freeable], *, holder: str, told: Callable[[str], None]
    ) -> None:
        """Remove what a plan said; what is protected by now stays. `told` hears what went.

        Raises:
            ProblemError: `image.in_use` where a container came in between, `runtime.*`, `blob.*`.
        """
        for item in frees:
            if item.kind != "image" and item.name in self._keeper.pinned(but=holder):
                continue
            if not await self._remove(item):
                continue
            told(f"{MADE_ROOM}removed {_WORDS[item.kind]} {item.name}, {size(item.size_bytes)}")

    async def _remove(self, item: Freeable) -> bool:
        if item.kind == "upload":
            return await self._uploads.drop_idle(item.name)
        if item.kind == "image":
            return await self._remove_image(item.name)
        await asyncio.to_thread(self._blobs.remove, item.name)
        return True

    async def _remove_image(self, name: str) -> bool:
        images = await asyncio.to_thread(self._records.told, await self._runtime.images())
        image = next((each for each in images if name in (each.id, *each.tags)), None)
        if image is None or image.protected is not None:
            return False
        await self._runtime.remove_image(image.id)  # by its id: with all its tags
        await asyncio.to_thread(self._records.forget, {image.id})
        return True

    def _uploads_but(self, kept: Collection[str]) -> list[Freeable]:
        return [
            Freeable(kind="upload", name=state.record.diff_id, size_bytes=state.offset)
            for state in self._uploads.idle(ABANDONED_SECONDS)
            if state.record.diff_id not in kept
        ]

    async def _blobs_but(self, kept: Collection[str]) -> list[Freeable]:
        blobs = await asyncio.to_thread(self._blobs.list)
        return [
            Freeable(kind="blob", name=blob.diff_id, size_bytes=blob.stored_bytes)
            for blob in blobs
            if blob.diff_id not in kept
        ]

    async def _images_but(
        self,
        kept: Collection[str],
        images: Sequence[NodeImage],
        chains: set[str],
        usage: ImageUsage,
    ) -> list[Freeable]:
        """Those without a name first, then those that were loaded first.

        Of the layers in `chains` an image always stays that has them.
        """
        loaded_at = await asyncio.to_thread(self._records.loaded_at)
        counts = Counter(
            chain
            for image in filter(is_verified, images)
            for chain in chains.intersection(chain_ids(image.diff_ids))
        )
        found = []
        for image in sorted(
            images, key=lambda image: (bool(image.tags), loaded_at.get(image.id, 0.0))
        ):
            alone = usage.alone_bytes.get(image.id, 0)
            shared = chains.intersection(chain_ids(image.diff_ids))
            if (
                alone > 0
                and image.protected is None
                and image.config_digest not in kept
                and all(counts[chain] > 1 for chain in shared)
            ):
                counts.subtract(shared)
                name = image.tags[0] if image.tags else image.id
                found.append(Freeable(kind="image", name=name, size_bytes=alone))
        return found

    async def _usage(self) -> ImageUsage:
        with move_on_after(USAGE_SECONDS):
            return await self._runtime.image_usage()
        return ImageUsage(reason=f"the runtime did not tell within {USAGE_SECONDS:g} s")


def chains_used(contents: Sequence[ImageContent], load: Load) -> set[str]:
    """The chain IDs of the layers that an archive leaves out: the runtime must keep them."""
    return {
        chain
        for content, left_out in zip(contents, load.left_out, strict=True)
        for place, chain in enumerate(chain_ids([layer.diff_id for layer in content.layers]))
        if place in left_out
    }


def enough(found: Sequence[Freeable], lacking: int) -> list[Freeable] | None:
    """The first of these that are `lacking` bytes together, less those that can stay after all.

    None where all are too little.
    """
    chosen: list[Freeable] = []
    for item in found:
        if lacking <= 0:
            break
        chosen.append(item)
        lacking -= item.size_bytes
    if lacking > 0:
        return None
    needed: list[Freeable] = []
    for item in reversed(chosen):  # the last is worth the most: images come after layers
        if item.size_bytes <= -lacking:
            lacking += item.size_bytes
        else:
            needed.append(item)
    return needed[::-1]
