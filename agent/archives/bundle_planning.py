"""What goes into a bundle, and what two bundles differ in. No file is read here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from agent.archives.bundle_manifest import (
    CONFIG,
    LAYER,
    Base,
    Manifest,
    ManifestEntry,
    ManifestImage,
    config_name,
    layer_name,
)
from agent.archives.faults import FaultError
from agent.archives.index import ArchivedImage, ArchivedLayer, ArchiveIndex
from agent.protocol.images import Layer

Change = Literal["added", "removed", "changed", "same"]


class Part(NamedTuple):
    """The layers that one archive gives to a bundle, as they lie in it."""

    archive: ArchiveIndex
    layers: list[ArchivedLayer]


class BundlePlan(NamedTuple):
    """A manifest, and where what it names comes from."""

    manifest: Manifest
    configs: dict[str, bytes]  # by digest, in the manifest's order
    parts: list[Part]


class Difference(NamedTuple):
    """One image of two bundles; sizes are of layers, unpacked."""

    name: str
    change: Change
    platform: str
    new_bytes: int  # of layers that no image of the old bundle has


def plan_bundle(
    archives: Sequence[ArchiveIndex],
    *,
    since: tuple[Base, Manifest] | None,
    created_at: float,
) -> BundlePlan:
    """All images of these archives; with `since`, only the layers that no image of it has.

    Raises:
        ProblemError: `archive.tag_twice`, `bundle.needs`.
    """
    images = merged_images(archives)
    there = set() if since is None else layers_of(since[1])
    sizes: dict[str, int] = {}
    parts = []
    taken: set[str] = set()
    for archive in archives:
        sizes |= archive.sizes
        layers = [layer for layer in archive.layers if layer.diff_id not in there | taken]
        taken.update(layer.diff_id for layer in layers)
        if layers:
            parts.append(Part(archive, layers))
    wanted = dict.fromkeys(diff_id for image in images for diff_id in image.diff_ids)
    for diff_id in wanted:
        if diff_id not in there | taken:
            raise _incomplete(archives, diff_id)
    configs = {image.config_digest: image.config for image in images}
    entries = [
        ManifestEntry(kind=CONFIG, name=config_name(name), sha256=name, size_bytes=len(config))
        for name, config in configs.items()
    ]
    entries += [
        ManifestEntry(
            kind=LAYER,
            name=layer_name(layer.diff_id),
            sha256=layer.diff_id,
            size_bytes=layer.size_bytes,
        )
        for part in parts
        for layer in part.layers
    ]
    needs = [Layer(diff_id=name, size_bytes=sizes[name]) for name in wanted if name not in taken]
    manifest = Manifest(
        created_at=created_at,
        images=manifest_images(images),
        entries=entries,
        since=None if since is None else since[0],
        needs=needs,
    )
    return BundlePlan(manifest, configs, parts)


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
    """What the images of two bundles differ in, by name and platform."""
    before, after = _by_name(old), _by_name(new)
    there = layers_of(old)
    sizes = {layer.diff_id: layer.size_bytes for layer in new.needs}
    sizes |= {entry.sha256: entry.size_bytes for entry in new.entries if entry.kind == LAYER}
    found = []
    for name, platform in dict.fromkeys([*before, *after]):
        was, now = before.get((name, platform)), after.get((name, platform))
        change: Change = "changed"
        if was is None or now is None:
            change = "added" if was is None else "removed"
        elif was.config_digest == now.config_digest:
            change = "same"
        layers = set() if now is None else set(now.diff_ids) - there
        new_bytes = sum(sizes.get(layer, 0) for layer in layers)
        found.append(Difference(name, change, platform, new_bytes))
    return found


def layers_of(manifest: Manifest) -> set[str]:
    """What a node has that has the images of a bundle."""
    return {diff_id for image in manifest.images for diff_id in image.diff_ids}


def _by_name(manifest: Manifest) -> dict[tuple[str, str], ManifestImage]:
    found = {}
    for image in manifest.images:
        parts = (image.os, image.architecture, image.variant)
        platform = "/".join(part for part in parts if part)
        for name in image.tags or [image.config_digest]:
            found[name, platform] = image
    return found


def _incomplete(archives: Sequence[ArchiveIndex], diff_id: str) -> Exception:
    archive = next(a for a in archives if diff_id in {layer.diff_id for layer in a.elsewhere})
    return FaultError(
        "bundle.needs",
        f"it was made since {archive.since}, which has the layer {diff_id}",
        hint=f"Name {archive.since} as well, or give it as --since.",
    ).problem(archive.path)
