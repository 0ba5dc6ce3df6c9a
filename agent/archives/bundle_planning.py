"""What goes into a bundle, and what two bundles differ in. No file is read here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from agent.archives.bundle_manifest import (
    CONFIG,
    LAYER,
    SNAPSHOT,
    SNAPSHOT_NAME,
    Base,
    Manifest,
    ManifestEntry,
    ManifestFile,
    ManifestImage,
    config_name,
    layer_name,
)
from agent.archives.carried_files import LooseFile, merged_files
from agent.archives.faults import FaultError
from agent.archives.index import ArchivedImage, ArchivedLayer, ArchiveIndex
from agent.protocol.images import Layer
from agent.protocol.node_files import NodeFile

Change = Literal["added", "removed", "changed", "same"]


class Part(NamedTuple):
    """The layers and files that one archive gives to a bundle, as they lie in it."""

    archive: ArchiveIndex
    layers: list[ArchivedLayer]


class BundlePlan(NamedTuple):
    """A manifest, and where what it names comes from."""

    manifest: Manifest
    configs: dict[str, bytes]  # by digest, in the manifest's order
    parts: list[Part]
    loose: list[LooseFile]
    snapshot: bytes | None = None  # how a node was


class Difference(NamedTuple):
    """One image or file of two bundles; sizes are unpacked."""

    name: str
    change: Change
    platform: str  # "": it is a file
    new_bytes: int  # of what no image and no file of the old bundle has


def plan_bundle(
    archives: Sequence[ArchiveIndex],
    loose: Sequence[LooseFile] = (),
    *,
    since: tuple[Base, Manifest] | None,
    created_at: float,
    snapshot: bytes | None = None,
) -> BundlePlan:
    """All images and files of these archives, and files that lie beside them.

    `snapshot` is how a node was, which makes the bundle one.

    With `since`, only the layers that no image of it has, and contents that no file of it has.

    Raises:
        ProblemError: `archive.tag_twice`, `file.clash`, `bundle.needs`.
    """
    images, files = merged_images(archives), merged_files(archives, loose)
    there = set() if since is None else layers_of(since[1])
    sizes: dict[str, int] = {}
    parts = []
    taken: set[str] = set()
    wanted = _asked(images, files)
    for archive in archives:
        sizes |= archive.sizes
        asked = wanted.keys() - there - taken
        layers = [layer for layer in archive.layers if layer.diff_id in asked]
        taken.update(layer.diff_id for layer in layers)
        if layers:
            parts.append(Part(archive, layers))
    beside = []
    for each in loose:
        sizes[each.file.sha256] = each.file.size_bytes
        if each.file.sha256 not in there | taken:
            taken.add(each.file.sha256)
            beside.append(each)
    for diff_id in wanted:
        if diff_id not in there | taken:
            raise _incomplete(archives, diff_id)
    configs = {image.config_digest: image.config for image in images}
    entries = [
        ManifestEntry(kind=CONFIG, name=config_name(name), sha256=name, size_bytes=len(config))
        for name, config in configs.items()
    ]
    if snapshot is not None:
        entries.append(
            ManifestEntry(
                kind=SNAPSHOT,
                name=SNAPSHOT_NAME,
                sha256=f"sha256:{hashlib.sha256(snapshot).hexdigest()}",
                size_bytes=len(snapshot),
            )
        )
    by_content = {file.sha256: file for file in reversed(files)}
    entries += [
        _entry_of(by_content.get(layer.diff_id), layer.diff_id, layer.size_bytes)
        for part in parts
        for layer in part.layers
    ]
    entries += [_entry_of(each.file, each.file.sha256, each.file.size_bytes) for each in beside]
    needs = [Layer(diff_id=name, size_bytes=sizes[name]) for name in wanted if name not in taken]
    manifest = Manifest(
        created_at=created_at,
        images=manifest_images(images),
        files=[
            ManifestFile(
                kind=file.kind, name=file.name, sha256=file.sha256, size_bytes=file.size_bytes
            )
            for file in files
        ],
        entries=entries,
        since=None if since is None else since[0],
        needs=needs,
    )
    return BundlePlan(manifest, configs, parts, beside, snapshot)


def _asked(images: Sequence[ArchivedImage], files: Sequence[NodeFile]) -> dict[str, None]:
    """The digests of all layers and files, each once, in order."""
    layers = (diff_id for image in images for diff_id in image.diff_ids)
    return dict.fromkeys([*layers, *(file.sha256 for file in files)])


def _entry_of(file: NodeFile | None, digest: str, size: int) -> ManifestEntry:
    """Of a layer, where it is no file's content."""
    return ManifestEntry(
        kind=LAYER if file is None else file.kind,
        name=layer_name(digest) if file is None else file.place,
        sha256=digest,
        size_bytes=size,
    )


def manifest_images(images: Sequence[ArchivedImage]) -> list[ManifestImage]:
    """The images as manifests name them."""
    return [
        ManifestImage(
            config_digest=image.config_digest,
            diff_ids=image.diff_ids,
            tags=image.tags,
            os=image.os,
            architecture=image.architecture,
            variant=image.variant,
            entry=image.entry,
        )
        for image in images
    ]


def merged_images(archives: Sequence[ArchiveIndex]) -> list[ArchivedImage]:
    """The images of all archives, each once, their entries numbered through.

    Images of one name and several platforms become one entry, of which a node takes its own.

    Raises:
        ProblemError: `archive.tag_twice`: two of one platform have the same name.
    """
    found: dict[tuple[str, str], ArchivedImage] = {}
    named: dict[tuple[str, str], str] = {}
    entries: dict[str | tuple[str, int], int] = {}  # by tag, and by archive and its own number
    for archive in archives:
        for image in archive.images:
            entry = _entry(entries, archive, image)
            platform = str(image.platform)
            for tag in image.tags:
                first = named.setdefault((tag, platform), image.config_digest)
                if first != image.config_digest:
                    raise FaultError(
                        "archive.tag_twice", f"another image of {platform} is called {tag}, too"
                    ).problem(archive.path)
            key = (image.config_digest, platform)
            before = found.get(key)
            if before is None:
                found[key] = msgspec.structs.replace(image, entry=entry)
            else:
                tags = list(dict.fromkeys([*before.tags, *image.tags]))
                found[key] = msgspec.structs.replace(before, tags=tags)
    return list(found.values())


def _entry(
    entries: dict[str | tuple[str, int], int], archive: ArchiveIndex, image: ArchivedImage
) -> int:
    """The number of the image's entry; `entries` learns its names."""
    names: list[str | tuple[str, int]] = [(archive.path, image.entry), *image.tags]
    known = next((entries[name] for name in names if name in entries), None)
    entry = len(set(entries.values())) if known is None else known
    for name in names:
        entries.setdefault(name, entry)
    return entry


def compare(old: Manifest, new: Manifest) -> list[Difference]:
    """What the images and files of two bundles differ in, by name and platform."""
    before, after = _by_name(old), _by_name(new)
    there = layers_of(old)
    sizes = {layer.diff_id: layer.size_bytes for layer in new.needs}
    sizes |= {entry.sha256: entry.size_bytes for entry in new.entries}
    found = []
    for name, platform in dict.fromkeys([*before, *after]):
        was, now = before.get((name, platform)), after.get((name, platform))
        change: Change = "changed"
        if was is None or now is None:
            change = "added" if was is None else "removed"
        elif was.identity == now.identity:
            change = "same"
        layers = set() if now is None else set(now.contents) - there
        new_bytes = sum(sizes.get(layer, 0) for layer in layers)
        found.append(Difference(name, change, platform, new_bytes))
    return found


def layers_of(manifest: Manifest) -> set[str]:
    """What a node has that has the images and files of a bundle."""
    layers = {diff_id for image in manifest.images for diff_id in image.diff_ids}
    return layers | {file.sha256 for file in manifest.files}


class _Named(NamedTuple):
    identity: str
    contents: list[str]


def _by_name(manifest: Manifest) -> dict[tuple[str, str], _Named]:
    found = {}
    for image in manifest.images:
        parts = (image.os, image.architecture, image.variant)
        platform = "/".join(part for part in parts if part)
        for name in image.tags or [image.config_digest]:
            found[name, platform] = _Named(image.config_digest, image.diff_ids)
    for file in manifest.files:
        found[f"{file.kind} {file.name}", ""] = _Named(file.sha256, [file.sha256])
    return found


def _incomplete(archives: Sequence[ArchiveIndex], diff_id: str) -> Exception:
    archive = next(a for a in archives if diff_id in {layer.diff_id for layer in a.elsewhere})
    return FaultError(
        "bundle.needs",
        f"it was made since {archive.since}, which has the layer {diff_id}",
        hint=f"Name {archive.since} as well, or give it as --since.",
    ).problem(archive.path)
