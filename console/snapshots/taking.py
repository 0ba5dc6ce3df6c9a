"""Taking a snapshot of a node into a file, with the images and models that are asked for."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

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
from console.received import beside, written
from console.snapshots.snapshot_file import write_snapshot
from console.text import size

IMAGES_LIMIT = 64  # a node exports no more at once, nor loads them

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
        ProblemError: `console.usage` for too many images, the node's own, `link.*`,
            `bundle.unwritable`, `archive.*`.
    """
    snapshot = await client.snapshots.take(environment=wanted.environment)
    archives: list[ArchiveIndex] = []
    models: list[LooseFile] = []
    images = images_wanted(snapshot, wanted)
    if len(images) > IMAGES_LIMIT:
        raise ProblemError(
            "console.usage",
            f"a snapshot carries {IMAGES_LIMIT} images at most, and that would be {len(images)}",
            params={"images": len(images)},
            hint="--with-images carries only those that workloads and engines need.",
        )
    files = [each for each in snapshot.files if wanted.models and each.kind == "model"]
    model_bytes = sum(each.size_bytes for each in files)
    if warning := await asyncio.to_thread(room_warning, file, images, model_bytes):
        said(warning)
    try:
        async with beside(file) as folder:
            if images:
                said(f"reading {len(images)} images, at most {size(_total(images))}")
                path = folder / "images.tar"
                names = [image.id for image in images]
                await written(client.snapshots.export_images(names), path)
                archives.append(await asyncio.to_thread(index_archive, path))
            for number, each in enumerate(files):
                if each.sha256 is None:
                    continue  # see `left_out`
                said(f"reading model {each.name}, {size(each.size_bytes)}")
                path = folder / f"model-{number}"
                digest = f"sha256:{await written(client.snapshots.read_model(each.name), path)}"
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
    except OSError as error:
        raise _unwritable(Path(error.filename or file), error.strerror or str(error)) from None
    return snapshot


def images_wanted(snapshot: NodeSnapshot, wanted: Wanted) -> list[NodeImage]:
    """The images that a snapshot carries, of those that the node has."""
    if wanted.all_images:
        return snapshot.images
    if not wanted.images:
        return []
    ids = {each.image for each in snapshot.workloads}
    names = {
        each.workload.image for each in snapshot.workloads if each.workload is not None
    } | _other_images(snapshot)
    return [image for image in snapshot.images if image.id in ids or _is_called(image, names)]


def left_out(snapshot: NodeSnapshot, wanted: Wanted) -> dict[str, str]:
    """What is wanted and the node does not give, and why: "image app:1", "model detector.onnx"."""
    found: dict[str, str] = {}
    if wanted.images or wanted.all_images:
        names = _other_images(snapshot) | {
            each.workload.image
            for each in snapshot.workloads
            if each.workload is not None and each.image is None
        }
        why = snapshot.unknown.get("images", "the node does not have it any more")
        for name in sorted(names):
            if not any(_is_called(image, {name}) for image in snapshot.images):
                found[f"image {name}"] = why
    if wanted.models:
        for each in snapshot.files:
            if each.kind == "model" and each.sha256 is None:
                found[f"model {each.name}"] = "the node could not read it"
    return found


def _other_images(snapshot: NodeSnapshot) -> set[str]:
    """Names of the images that engines are built in, and that proxies are made from."""
    recipes = [each.manifest.parts.recipe for each in snapshot.engines]
    names = {recipe.image for recipe in recipes if recipe is not None and recipe.image}
    if any(each.workload and each.workload.strategy == "weighted" for each in snapshot.workloads):
        names.add(snapshot.configuration.get("traffic.image", "").strip('"'))
    return names - {""}


def _is_called(image: NodeImage, names: Collection[str]) -> bool:
    tags = {familiar(name) for name in names}
    return image.config_digest in names or not tags.isdisjoint(map(familiar, image.tags))


def _total(images: list[NodeImage]) -> int:
    return sum(image.size_bytes for image in images)


def room_warning(file: Path, images: Sequence[NodeImage], models_bytes: int) -> str | None:
    """What is read lies there plain before it is packed: a word where there may be no room.

    How much images share is not known before: only what is needed in any case is refused.

    Raises:
        ProblemError: `bundle.unwritable`.
    """
    try:
        free = shutil.disk_usage(file.absolute().parent).free
    except OSError as error:
        raise _unwritable(file, error.strerror or str(error)) from None
    least = max((image.size_bytes for image in images), default=0) + models_bytes
    if free < least:
        raise _unwritable(
            file, f"at least {size(least)} are needed while it is written, {size(free)} are free"
        )
    most = sum(image.size_bytes for image in images) + models_bytes
    if free < most:
        return (
            f"up to {size(most)} are needed while it is written, less what images share;"
            f" {size(free)} are free"
        )
    return None


def _unwritable(file: Path, why: str) -> ProblemError:
    return ProblemError(
        "bundle.unwritable",
        f"{file}: {why}",
        params={"file": str(file)},
        hint="Make room there, write to another disk, or leave images out.",
    )
