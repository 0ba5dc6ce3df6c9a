"""The images of one runtime: what is there, load, check, tag, remove."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from docker.utils import version_lt

from agent.containers import images_build, images_load, images_save
from agent.containers.connection import Connection, Json
from agent.containers.images_answers import (
    UNKNOWN_PARTS,
    ImageParts,
    ListedImage,
    image_parts,
    image_usage,
    listed_image,
    node_image,
    with_algorithm,
)
from agent.containers.images_check import check
from agent.containers.images_load import Chunks
from agent.containers.images_naming import find_image, read_back, tag_of
from agent.containers.images_needs import NeedsReader
from agent.containers.images_packages import Heard, read_packages
from agent.containers.images_problems import image_in_use, image_not_found, last_tag
from agent.containers.images_results import ImageRemoval, ImageUsage, LoadedImages
from agent.containers.images_temporary import TemporaryContainers
from agent.containers.inspection import listed as listed_container
from agent.containers.keeper import Keeper
from agent.containers.refusals import understood
from agent.protocol.compatibility import ImageNeeds
from agent.protocol.image_builds import BuildImageRequest
from agent.protocol.images import NodeImage
from agent.protocol.packages import PackageList
from agent.protocol.problems import ProblemError
from agent.rules.references import familiar, full, split_tag

# Removing layers of many GB, and counting what all of them take, is slow on old disks.
REMOVE_SECONDS = 600.0
USAGE_SECONDS = 120.0
LIST_TRIES = 5
LIST_AGAIN_SECONDS = 0.1
# The first API whose load can be told to check that an image has all its content.
_STRICT_API = "1.48"


class Images:
    """What `runtime.ContainerRuntime` says of images, for Docker Engine and Podman."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._temporary = TemporaryContainers()
        self._needs = NeedsReader(self._temporary)
        self._parts: dict[tuple[str, int, tuple[str, ...]], ImageParts] = {}  # by `key`

    async def images(self) -> list[NodeImage]:
        """All of them, by tag."""
        connection = await self._keeper.ready()
        answer = await _listing(connection, "/images/json")
        listed = understood(
            lambda: [listed_image(entry) for entry in answer or []], connection.address
        )
        known = {one.key for one in listed}
        self._parts = {key: parts for key, parts in self._parts.items() if key in known}
        # Asked, for the table is a moment behind: what is used now must not be removed.
        entries = await _listing(connection, "/containers/json", query={"all": "1"})
        containers = understood(
            lambda: [listed_container(entry) for entry in entries or []], connection.address
        )
        store = self._keeper.facts.image_store
        found = []
        for one in listed:
            parts = await self._parts_of(connection, one)
            if parts is not None:
                found.append(node_image(one, parts, containers, store=store))
        return sorted(found, key=lambda image: (not image.tags, image.tags, image.id))

    async def image(self, reference: str) -> NodeImage:
        """One of them."""
        return find_image(reference, await self.images())

    async def load(
        self, chunks: Chunks, *, size_bytes: int | None, platform: tuple[str, str, str] | None
    ) -> LoadedImages:
        """Stream an archive in."""
        connection = await self._keeper.ready()
        strict = None
        if (
            platform is not None
            and self._keeper.facts.image_store == "containerd"
            and not version_lt(connection.api_version, _STRICT_API)
        ):
            strict = quote(images_load.platform_query(*platform))
        return await images_load.load(connection, chunks, size_bytes=size_bytes, platform=strict)

    async def build(
        self, chunks: Chunks, request: BuildImageRequest, told: Callable[[str], None]
    ) -> str:
        """Build one."""
        return await images_build.build(await self._keeper.ready(), chunks, request, told)

    async def save(self, references: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """Stream images out."""
        images = [await self.image(reference) for reference in references]
        connection = await self._keeper.ready()
        async with aclosing(images_save.save(connection, images)) as pieces:
            async for piece in pieces:
                yield piece

    async def check(self, reference: str, diff_ids: Sequence[str] | None) -> NodeImage:
        """Look whether it is whole."""
        image = await self.image(reference)
        await check(await self._keeper.ready(), image, diff_ids, self._temporary)
        return image

    async def needs(self, reference: str, *, inside: bool) -> ImageNeeds:
        """What it needs to run."""
        image = await self.image(reference)
        return await self._needs.read(await self._keeper.ready(), image, inside=inside)

    async def packages(self, reference: str, heard: Heard) -> PackageList:
        """What is installed in it."""
        image = await self.image(reference)
        connection = await self._keeper.ready()
        return await read_packages(connection, image, self._temporary, heard)

    async def tag(self, reference: str, tag: str) -> NodeImage:
        """Give it a tag, and read back that it has it."""
        repository, name = split_tag(tag)
        image = await self.image(reference)
        connection = await self._keeper.ready()
        where = full(f"{repository}:{name}").rpartition(":")[0]
        query = {"repo": where, "tag": name}
        try:
            await connection.ask("POST", f"/images/{quote(image.id)}/tag", query=query)
        except ProblemError as problem:
            raise _gone(problem, reference) from problem
        return read_back(familiar(tag), image.id, await self.images())

    async def untag(self, tag: str) -> None:
        """Take a tag away, never the image."""
        image = await self.image(tag)
        short = tag_of(tag, image)
        if short is None:
            raise image_not_found(tag, [image])
        if len(image.tags) == 1:
            raise last_tag(short, image)
        await self._delete(await self._keeper.ready(), full(short), image)

    async def remove(self, reference: str) -> ImageRemoval:
        """Remove an image, or one tag of several."""
        image = await self.image(reference)
        connection = await self._keeper.ready()
        tag = tag_of(reference, image)
        if tag is not None and len(image.tags) > 1:
            return await self._delete(connection, full(tag), image)
        if image.containers:
            raise image_in_use(image)
        removal = ImageRemoval()
        for name in [full(each) for each in image.tags] or [image.id]:
            one = await self._delete(connection, name, image)
            removal.untagged += one.untagged
            removal.deleted += one.deleted
        return removal

    async def usage(self) -> ImageUsage:
        """What they take on disk."""
        connection = await self._keeper.ready()
        answer = await connection.ask(
            "GET", "/system/df", query={"type": "image"}, seconds=USAGE_SECONDS
        )
        return understood(lambda: image_usage(answer, podman=connection.podman), connection.address)

    async def _parts_of(self, connection: Connection, one: ListedImage) -> ImageParts | None:
        """What an inspection tells; None where the image is gone by now."""
        key = one.key
        if key not in self._parts:
            try:
                answer: Json = await connection.ask("GET", f"/images/{quote(one.id)}/json")
            except ProblemError as problem:
                status = problem.params.get("status")
                if status is None:
                    raise
                # One whose config is missing can still be listed and removed.
                return None if status == 404 else UNKNOWN_PARTS
            parts = understood(lambda: image_parts(answer), connection.address)
            if not parts.diff_ids:
                return parts  # the containerd store does not tell those of a broken image
            self._parts[key] = parts
        return self._parts[key]

    async def _delete(self, connection: Connection, name: str, image: NodeImage) -> ImageRemoval:
        """`DELETE`, never by force: what is used stays."""
        try:
            answer = await connection.ask(
                "DELETE", f"/images/{quote(name)}", seconds=REMOVE_SECONDS
            )
        except ProblemError as problem:
            if problem.params.get("status") == 409:
                raise image_in_use(image, problem.detail) from problem
            raise _gone(problem, name) from problem
        removal = ImageRemoval()
        for entry in answer or []:
            if "Untagged" in entry and "@" not in entry["Untagged"]:
                removal.untagged.append(familiar(entry["Untagged"]))
            if "Deleted" in entry:
                removal.deleted.append(with_algorithm(entry["Deleted"]))
        return removal


async def _listing(
    connection: Connection, path: str, *, query: Mapping[str, str] | None = None
) -> Any:
    """A list. The containerd store refuses one while an image is removed that it had begun to look
    at: "content digest ... not found" (seen on Docker 28.5)."""
    for _ in range(LIST_TRIES - 1):
        try:
            return await connection.ask("GET", path, query=query)
        except ProblemError as problem:
            if problem.params.get("status") is None or "not found" not in problem.detail:
                raise
        await asyncio.sleep(LIST_AGAIN_SECONDS)
    return await connection.ask("GET", path, query=query)


def _gone(problem: ProblemError, reference: str) -> ProblemError:
    """The problem, or that there is no such image (any more)."""
    return image_not_found(reference, []) if problem.params.get("status") == 404 else problem
