"""Images that are not there, for simulated nodes: loading reads an archive and keeps nothing."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)

import msgspec

from agent.archives.config_needs import needs_of_archived, needs_of_config, only_config
from agent.containers.images_naming import find_image, tag_of
from agent.containers.images_problems import broken, image_in_use, last_tag
from agent.containers.images_results import ImageRemoval, ImageUsage, LoadedImages
from agent.containers.simulated_archive import SimulatedArchive
from agent.protocol.compatibility import ImageNeeds
from agent.protocol.containers import Container
from agent.protocol.image_builds import BuildImageRequest
from agent.protocol.images import NodeImage
from agent.protocol.packages import PackageList
from agent.protocol.problems import ProblemError
from agent.rules.chains import known_chains
from agent.rules.references import split_tag

_MIB = 1024 * 1024
_CUDA = re.compile(r"cuda-?(\d+(?:\.\d+)*)")
_BASE_LAYERS = 3
_OWN_LAYERS = 2


class SimulatedImages:
    """See `runtime.ContainerRuntime`: its part about images.

    Args:
        containers: what the node has now; raises where the runtime is away.
        images: as the node starts with them.
    """

    def __init__(
        self,
        containers: Callable[[], Mapping[str, Container]],
        images: Iterable[NodeImage],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._containers_now, self._now = containers, now
        self._images = {one.id: one for one in images}
        self._configs: dict[str, bytes] = {}  # of those that were loaded, by id

    async def images(self) -> list[NodeImage]:
        """The images, those with tags first."""
        made: dict[str, list[str]] = {}
        for container in self._containers_now().values():
            made.setdefault(container.image_id, []).append(container.name)
        found = [
            msgspec.structs.replace(
                one, tags=sorted(one.tags), containers=sorted(made.get(one.id, []))
            )
            for one in self._images.values()
        ]
        return sorted(found, key=lambda image: (not image.tags, image.tags, image.id))

    async def image(self, reference: str) -> NodeImage:
        """One of them."""
        return find_image(reference, await self.images())

    async def build_image(
        self,
        chunks: AsyncIterator[bytes] | Iterator[bytes],
        request: BuildImageRequest,
        told: Callable[[str], None],
    ) -> str:
        """A simulated node builds nothing."""
        raise ProblemError(
            "image.build_failed",
            f"{request.tag}: this node is simulated: it has no builder",
            hint="Build on a real node, or on this machine.",
        )

    async def save_images(self, references: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """Refuses: there are no layers to read."""
        for reference in references:
            await self.image(reference)
        if references:
            raise ProblemError(
                "image.export_simulated",
                "this node is simulated: its images have no layers that could be read",
                hint="Take the snapshot without images.",
            )
        yield b""

    async def load_image(
        self,
        chunks: AsyncIterator[bytes] | Iterator[bytes],
        *,
        size_bytes: int | None = None,
        platform: tuple[str, str, str] | None = None,
    ) -> LoadedImages:
        """Read the archive to its end and add what its manifest names; layers are only counted.

        As on the graphdriver store, the files of layers that are there may be left out.
        """
        del platform
        archive = SimulatedArchive(size_bytes)
        known = known_chains(await self.images())
        if isinstance(chunks, AsyncIterator):
            async for chunk in chunks:
                archive.feed(chunk)
        else:
            while (read := await asyncio.to_thread(next, chunks, None)) is not None:
                archive.feed(read)
        names = []
        for image in archive.images(known, now=self._now()):
            for tag in image.tags:
                self._take_tag(tag)
            old = self._images.get(image.id)
            tags = sorted({*image.tags, *(old.tags if old else [])})
            self._images[image.id] = msgspec.structs.replace(image, tags=tags)
            names += image.tags
            self._configs[image.id] = archive.configs[image.id]
        return LoadedImages(names=names)

    async def check_image(
        self, reference: str, *, diff_ids: Sequence[str] | None = None
    ) -> NodeImage:
        """The image, if it has these layers."""
        image = await self.image(reference)
        if diff_ids is not None and list(diff_ids) != image.diff_ids:
            raise broken(image, "it has other layers")
        return image

    async def image_needs(self, reference: str, *, inside: bool = False) -> ImageNeeds:
        """By the config of an image that was loaded; for others by what their tag says of CUDA."""
        del inside  # there is nothing to look into
        image = await self.image(reference)
        place = {"os": image.os, "architecture": image.architecture, "variant": image.variant}
        if image.id in self._configs:
            needs = needs_of_archived(self._configs[image.id], **place)
        else:
            found = [match[1] for tag in image.tags if (match := _CUDA.search(tag))]
            cuda = {"CUDA_VERSION": found[0], "NVIDIA_VISIBLE_DEVICES": "all"} if found else {}
            needs = needs_of_config(cuda, {}, **place)
        return only_config(needs, "the node is simulated")

    async def image_packages(
        self, reference: str, heard: Callable[[int, int], None]
    ) -> PackageList:
        """Refuses: there are no layers to read."""
        await self.image(reference)
        raise ProblemError(
            "image.no_layers",
            f"{reference}: this node is simulated: its images have no layers that could be read",
            hint="Ask a real node.",
        )

    async def tag_image(self, reference: str, tag: str) -> NodeImage:
        """Give it a tag."""
        short = ":".join(split_tag(tag))
        image = await self.image(reference)
        self._take_tag(short)
        self._set_tags(image.id, {*self._images[image.id].tags, short})
        return await self.image(image.id)

    async def untag_image(self, tag: str) -> None:
        """Take a tag away."""
        image = await self.image(tag)
        short = tag_of(tag, image) or tag
        if len(image.tags) == 1:
            raise last_tag(short, image)
        self._take_tag(short)

    async def remove_image(self, reference: str) -> ImageRemoval:
        """Remove it, or one tag of several."""
        image = await self.image(reference)
        tag = tag_of(reference, image)
        if tag is not None and len(image.tags) > 1:
            self._take_tag(tag)
            return ImageRemoval(untagged=[tag])
        if image.containers:
            raise image_in_use(image)
        del self._images[image.id]
        return ImageRemoval(untagged=image.tags, deleted=[image.id])

    async def image_usage(self) -> ImageUsage:
        """Nothing is on a disk."""
        return ImageUsage(reason="the node is simulated")

    def _take_tag(self, tag: str) -> None:
        for image in list(self._images.values()):
            if tag in image.tags:
                self._set_tags(image.id, {*image.tags} - {tag})

    def _set_tags(self, image_id: str, tags: set[str]) -> None:
        self._images[image_id] = msgspec.structs.replace(self._images[image_id], tags=sorted(tags))


def images_of(containers: Iterable[Container], *, architecture: str, at: float) -> list[NodeImage]:
    """Those that these containers were made from, and for each the version before."""
    found: dict[str, NodeImage] = {}
    for container in containers:
        repository, tag = split_tag(container.image)
        for name, image_id, age in (
            (f"{repository}:{tag}", container.image_id, 30),
            (f"{repository}:{_before(tag)}", digest(f"{container.image} before"), 90),
        ):
            if image_id not in found:
                found[image_id] = NodeImage(
                    id=image_id,
                    config_digest=image_id,
                    diff_ids=[
                        *(digest(f"base/{architecture}/{n}") for n in range(_BASE_LAYERS)),
                        *(digest(f"{name}/{architecture}/{n}") for n in range(_OWN_LAYERS)),
                    ],
                    tags=[name],
                    size_bytes=(400 + int(image_id[-2:], 16) * 8) * _MIB,
                    created_at=at - age * 86400,
                    tagged_at=at - (age - 1) * 86400,
                    architecture=architecture,
                )
    return list(found.values())


def digest(text: str) -> str:
    """A digest that is always the same for a text."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _before(tag: str) -> str:
    """2.4.1-cuda12 after 2.4.0-cuda12: the version before, as far as a simulation goes."""
    version, dash, rest = tag.partition("-")
    head, dot, last = version.rpartition(".")
    if not dot or not last.isdigit() or not int(last):
        return f"{tag}-before"
    return f"{head}.{int(last) - 1}{dash}{rest}"
