"""OCI layout: index.json names manifests by digest, they name configs and layers."""

from __future__ import annotations

from dataclasses import replace

from agent.archives.contents import Contents
from agent.archives.documents import (
    Descriptor,
    FoundImage,
    OciManifest,
    check_content,
    check_digest,
    decode,
    found_image,
    valid_tag,
)
from agent.archives.faults import FaultError

INDEX = "index.json"
DEPTH_LIMIT = 4
MANIFESTS_LIMIT = 1000
CONFIG_TYPES = (
    "",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
# containerd writes the whole name; skopeo and podman write what the user said after the path.
NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


def blob_name(digest: str, member: str) -> str:
    """Where a layout keeps the blob. Raises FaultError `archive.digest`."""
    check_digest(digest, member)
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def oci_images(contents: Contents) -> list[FoundImage]:
    """All images of all platforms that are there; attestations and other artifacts are none.

    A platform that an index names, but that was not saved with it, is passed over.

    Raises:
        FaultError: what is wrong with the index, a manifest or a config.
    """
    walk = _Walk(contents)
    index = decode(contents, INDEX, OciManifest)
    for descriptor in index.manifests or []:
        entry = walk.entries.setdefault(descriptor.digest, len(walk.entries))
        walk.visit(descriptor, INDEX, entry, _tags(descriptor), depth=1)
    return walk.images


class _Walk:
    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.images: list[FoundImage] = []
        self.entries: dict[str, int] = {}  # number by the digest that index.json names
        self._visits = 0

    def visit(
        self, descriptor: Descriptor, parent: str, entry: int, tags: list[str], *, depth: int
    ) -> None:
        self._visits += 1
        if self._visits > MANIFESTS_LIMIT or depth > DEPTH_LIMIT:
            raise FaultError("archive.too_large", "its indexes name too many manifests")
        if _attestation(descriptor):
            return
        name = blob_name(descriptor.digest, parent)
        if self.contents.find(name) is None:
            if depth > 1:
                return
            raise FaultError("archive.missing", "a manifest is not in the archive", member=name)
        manifest = decode(self.contents, name, OciManifest)
        _check(self.contents, name, descriptor)
        if manifest.manifests is not None:
            for child in manifest.manifests:
                self.visit(child, name, entry, tags, depth=depth + 1)
        elif manifest.config is None:
            raise FaultError("archive.json", "it is neither a manifest nor an index", member=name)
        elif manifest.config.media_type in CONFIG_TYPES:
            image = self._image(manifest, manifest.config, name, entry, tags)
            platform = descriptor.platform
            variant = image.variant or (platform.variant if platform is not None else "")
            found = replace(image, manifest_digest=descriptor.digest, variant=variant)
            self.images.append(found)

    def _image(
        self, manifest: OciManifest, described: Descriptor, name: str, entry: int, tags: list[str]
    ) -> FoundImage:
        """`described` is the manifest's config."""
        config = blob_name(described.digest, name)
        members = [blob_name(layer.digest, name) for layer in manifest.layers or []]
        image = found_image(self.contents, config, members, tags, entry)
        _check(self.contents, config, described)
        for layer, member in zip(manifest.layers or [], members, strict=True):
            there = self.contents.find(member)
            if there is not None and there.size_bytes != layer.size:
                what = f"it has {there.size_bytes} bytes, its manifest says {layer.size}"
                raise FaultError("archive.digest", what, member=member)
        return image


def _check(contents: Contents, name: str, descriptor: Descriptor) -> None:
    content = contents.document(name)
    check_content(content, descriptor.digest, name)
    if len(content) != descriptor.size:
        what = f"it has {len(content)} bytes, not {descriptor.size}"
        raise FaultError("archive.digest", what, member=name)


def _attestation(descriptor: Descriptor) -> bool:
    if "vnd.docker.reference.type" in (descriptor.annotations or {}):
        return True
    platform = descriptor.platform
    return platform is not None and (platform.os, platform.architecture) == ("unknown", "unknown")


def _tags(descriptor: Descriptor) -> list[str]:
    """Only whole names: a bare tag names no image, and the annotation may be any text."""
    names = ((descriptor.annotations or {}).get(key, "") for key in NAME_ANNOTATIONS)
    return [name for name in names if valid_tag(name)][:1]
