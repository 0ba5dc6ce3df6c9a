"""One build on one node: the base is looked at, the context is sent, the job is seen through."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import tempfile
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

import msgspec

from agent.protocol import tus
from agent.protocol.image_builds import BuildImageRequest
from agent.protocol.images import Layer, NodeImage, TagRequest
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from agent.rules.references import familiar
from console.builds.context import Rendered, labels_of, write_context
from console.builds.lock import (
    LockedBase,
    LockedImage,
    LockedVariant,
    check_base,
    locked_base,
    packages_of,
)
from console.builds.matrix import Matrix, Variant
from console.fleet.back_off import jitter
from console.images.following import see_through
from console.link.client import NodeClient

PIECE_BYTES = 256 * 1024
TAG_DIGITS = 12


class Wanted(msgspec.Struct, kw_only=True):
    """What is to be built, and on what."""

    matrix: Matrix
    variant: Variant
    rendered: Rendered
    base: str
    own_base: bool  # named by a person: it has all that apt would bring
    wheelhouse: Path | None
    locked: LockedBase | None  # what it was built on before; None: any will do
    no_cache: bool = False


class Build:
    """Builds on one node. `told` hears what goes on, `heard` each line of the builder."""

    def __init__(
        self,
        client: NodeClient,
        *,
        told: Callable[[str], None],
        heard: Callable[[str], None],
    ) -> None:
        self._client, self._told, self._heard = client, told, heard
        self._line = 0  # of the job's log, heard last

    async def run(self, wanted: Wanted) -> LockedVariant:
        """The image, with what the lock says of it.

        Raises:
            ProblemError: `build.*`, `image.build_failed`, and the node's own.
        """
        variant, name = wanted.variant, wanted.base
        base = await self._base(name)
        if base is None:
            self._told(f"base {name} is not on the node: its runtime fetches it")
        else:
            check_base(wanted.locked, base, variant=variant.name, name=name)
        tag = _tag(wanted, base)
        try:
            job = await self._built(wanted, tag)
        except ProblemError as problem:
            if problem.code == "image.build_failed" and await self._base(name) is None:
                raise _without_base(name, problem) from None
            raise
        images = {image.id: image for image in await self._client.images()}
        image = images.get(job.result.get("image", ""))
        base = base or await self._base(name)
        if image is None or base is None:
            raise ProblemError(
                "build.not_there",
                f"{variant.name}: the job has ended, and the node has no {name} or no image of it",
                params={"variant": variant.name, "job": job.id},
                hint="Was it removed meanwhile? Build it again.",
            )
        if image.diff_ids[: len(base.diff_ids)] != base.diff_ids:
            raise ProblemError(
                "build.not_there",
                f"{variant.name}: {name} changed while it was built on",
                params={"variant": variant.name, "job": job.id},
                hint="Build it again.",
            )
        check_base(wanted.locked, base, variant=variant.name, name=name)
        await self._name(wanted, image)
        return LockedVariant(
            base=locked_base(name, base),
            image=LockedImage(
                tag=tag,
                id=image.id,
                config_digest=image.config_digest,
                diff_ids=list(image.diff_ids),
                size_bytes=image.size_bytes,
                added_bytes=image.size_bytes - base.size_bytes,
                application_diff_id=image.diff_ids[-1],
                application_bytes=len(wanted.rendered.application),
                packages=packages_of(wanted.rendered.requirements),
                content=wanted.rendered.digest,
            ),
        )

    async def _base(self, name: str) -> NodeImage | None:
        wanted = familiar(name)
        for image in await self._client.images():
            if wanted in image.tags:
                return image
        return None

    async def _built(self, wanted: Wanted, tag: str) -> Job:
        with tempfile.TemporaryFile() as file:
            digest = await asyncio.to_thread(
                write_context, wanted.rendered, wanted.wheelhouse, file
            )
            size = file.tell()
            self._told(f"context: {size} bytes, {digest}")
            await self._send(file, Layer(diff_id=digest, size_bytes=size))
        variant = wanted.variant
        packages = [] if wanted.own_base else variant.apt_packages
        request = BuildImageRequest(
            context=digest,
            tag=tag,
            arguments={
                "BASE": wanted.base,
                "PYTHON": variant.python,
                "APT_PACKAGES": " ".join(packages),
            },
            labels=dict(labels_of(variant, wanted.rendered, base=wanted.base)),
            no_cache=wanted.no_cache,
        )
        # The node may have begun it before its answer is here.
        begun = asyncio.ensure_future(self._client.build_image(request, secrets.token_hex(16)))
        try:
            return await self._followed(await asyncio.shield(begun))
        except asyncio.CancelledError:
            # Nobody would write down what comes of it.
            self._told("stopping the build")
            await self._stop(begun)
            raise

    async def _stop(self, begun: asyncio.Future[Job]) -> None:
        try:
            job = await begun
            await self._client.cancel_job(job.id)
        except ProblemError as problem:
            self._told(f"the node did not stop it: {problem.detail}")
            return
        with contextlib.suppress(ProblemError):
            await self._followed(job)

    async def _followed(self, job: Job) -> Job:
        async with aclosing(self._client.job_log(job.id, after=self._line)) as batches:
            async for batch in batches:
                for line in batch if isinstance(batch, list) else ():
                    self._line = line.number
                    self._heard(line.text)
        return await see_through(self._client, job, random=jitter())

    async def _send(self, file: BinaryIO, layer: Layer) -> None:
        uploads = self._client.uploads
        upload = await uploads.begin(layer, tus.IDENTITY)
        if upload is None:
            return
        async with aclosing(_pieces(file, upload.offset)) as pieces:
            await uploads.append(upload, pieces, size_bytes=layer.size_bytes)

    async def _name(self, wanted: Wanted, image: NodeImage) -> None:
        """And the name that moves with each build."""
        tag = f"{wanted.matrix.repository}:{wanted.variant.name}"
        request = TagRequest(image=image.id, tag=tag)
        job = await self._client.tag_image(request, secrets.token_hex(16))
        await see_through(self._client, job, random=jitter())


def _without_base(name: str, problem: ProblemError) -> ProblemError:
    return ProblemError(
        problem.code,
        problem.detail,
        hint=f"{name} is not on the node. Bring it there with roost image push, or name one that"
        " is there: --base IMAGE",
    )


async def _pieces(file: BinaryIO, offset: int) -> AsyncGenerator[bytes, None]:
    file.seek(offset)
    while data := await asyncio.to_thread(file.read, PIECE_BYTES):
        yield data


def _tag(wanted: Wanted, base: NodeImage | None) -> str:
    """Named by its content: what it is made of, and on what."""
    under = "".join(base.diff_ids) if base else wanted.base
    made_of = hashlib.sha256(f"{wanted.rendered.digest}\n{under}".encode()).hexdigest()
    return f"{wanted.matrix.repository}:{wanted.variant.name}-{made_of[:TAG_DIGITS]}"
