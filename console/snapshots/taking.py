"""Taking a snapshot of a node into a file, with the images and models that are asked for."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from agent.archives.bundle_writing import Sign
from agent.archives.carried_files import LooseFile
from agent.archives.index import ArchiveIndex
from agent.archives.indexing import index_archive
from agent.protocol.images import NodeImage
from agent.protocol.node_files import NodeFile
from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import NodeSnapshot
from agent.rules.references import familiar
from console.link.client import NodeClient
from console.snapshots.snapshot_file import write_snapshot
from console.text import size

# A few MiB at a time: one thread's work for many pieces from the link.
WRITE_BYTES = 4 * 1024 * 1024

Said = Callable[[str], None]


class Wanted(msgspec.Struct, kw_only=True, frozen=True):
    """What a snapshot shall carry beside how the node is."""

    images: bool = False  # those that workloads, engines and proxies are made from
    all_images: bool = False
    models: bool = False
    environment: bool = False  # values of workloads' environments that do not look like secrets


async def take(
    client: NodeClient,
    file: Path,
    wanted: Wanted,
    *,
    sign: Sign | None = None,
    said: Said = lambda _: None,
) -> NodeSnapshot:
    """Write how the node is to `file`, with its images' layers each once where they are wanted.

    Images come as one archive, which lies beside `file` until that is written: memory stays small.

    Raises:
        ProblemError: the node's own, `link.*`, `bundle.unwritable`, `archive.*`.
    """
    snapshot = await client.snapshots.take(environment=wanted.environment)
    archives: list[ArchiveIndex] = []
    models: list[LooseFile] = []
    images = images_wanted(snapshot, wanted)
    files = [each for each in snapshot.files if wanted.models and each.kind == "model"]
    await asyncio.to_thread(
        _check_room,
        file,
        sum(image.size_bytes for image in images) + sum(each.size_bytes for each in files),
    )
    async with _beside(file) as folder:
        if images:
            said(f"reading {len(images)} images, at most {size(_total(images))}")
            path = folder / "images.tar"
            names = [image.id for image in images]
            await _written(client.snapshots.export_images(names), path)
            archives.append(await asyncio.to_thread(index_archive, path))
        for number, each in enumerate(files):
            if each.sha256 is None:
                said(f"model {each.name} is left out: the node could not read it")
                continue
            said(f"reading model {each.name}, {size(each.size_bytes)}")
            path = folder / f"model-{number}"
            digest = await _written(client.snapshots.read_model(each.name), path)
            if digest != each.sha256:
                raise ProblemError(
                    "archive.changed",
                    f"model {each.name} was changed while it was read",
                    params={"model": each.name},
                    hint="Take the snapshot again.",
                )
            node_file = NodeFile(
                kind="model", name=each.name, sha256=digest, size_bytes=each.size_bytes
            )
            models.append(LooseFile(path, node_file))
        await asyncio.to_thread(write_snapshot, file, snapshot, archives, models, sign=sign)
    return snapshot


def images_wanted(snapshot: NodeSnapshot, wanted: Wanted) -> list[NodeImage]:
    """The images that a snapshot carries, of those that the node has."""
    if wanted.all_images:
        return snapshot.images
    if not wanted.images:
        return []
    ids = {each.image for each in snapshot.workloads}
    names = {each.workload.image for each in snapshot.workloads if each.workload is not None}
    recipes = [each.manifest.parts.recipe for each in snapshot.engines]
    names |= {recipe.image for recipe in recipes if recipe is not None and recipe.image}
    if any(each.workload and each.workload.strategy == "weighted" for each in snapshot.workloads):
        names.add(snapshot.configuration.get("traffic.image", "").strip('"'))
    tags = {familiar(name) for name in names if name}
    return [
        image
        for image in snapshot.images
        if image.id in ids or image.config_digest in names or tags & {*map(familiar, image.tags)}
    ]


def _total(images: list[NodeImage]) -> int:
    return sum(image.size_bytes for image in images)


def _check_room(file: Path, needed: int) -> None:
    """What is read lies there plain before it is packed. Raises ProblemError."""
    try:
        free = shutil.disk_usage(file.absolute().parent).free
    except OSError as error:
        raise _unwritable(file, error.strerror or str(error)) from None
    if free < needed:
        raise _unwritable(
            file, f"up to {size(needed)} are needed while it is written, {size(free)} are free"
        )


@asynccontextmanager
async def _beside(file: Path) -> AsyncIterator[Path]:
    """A folder on the same disk, gone afterwards."""
    make = partial(tempfile.mkdtemp, prefix=f".{file.name}.", dir=file.parent)
    try:
        folder = await asyncio.to_thread(make)
    except OSError as error:
        raise _unwritable(file, error.strerror or str(error)) from None
    try:
        yield Path(folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _written(pieces: AsyncIterator[bytes], path: Path) -> str:
    """Write what comes; its SHA-256."""
    digest = hashlib.sha256()
    buffer = bytearray()

    def put(file: BinaryIO, data: bytes) -> None:
        digest.update(data)
        file.write(data)

    try:
        file = await asyncio.to_thread(path.open, "wb")
        try:
            async for piece in pieces:
                buffer += piece
                if len(buffer) >= WRITE_BYTES:
                    await asyncio.to_thread(put, file, bytes(buffer))
                    buffer.clear()
            await asyncio.to_thread(put, file, bytes(buffer))
        finally:
            await asyncio.to_thread(file.close)
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from None
    return f"sha256:{digest.hexdigest()}"


def _unwritable(file: Path, why: str) -> ProblemError:
    return ProblemError(
        "bundle.unwritable",
        f"{file}: {why}",
        params={"file": str(file)},
        hint="Make room there, write to another disk, or leave images out.",
    )
