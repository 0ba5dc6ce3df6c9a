"""What an archive holds: images, and where their layers lie."""

from __future__ import annotations

import msgspec

from agent.archives.decompressors import Compression
from agent.archives.faults import FaultError
from agent.archives.platforms import Platform, best
from agent.protocol.images import ImageContent, Layer
from agent.protocol.node_files import NodeFile
from agent.protocol.signatures import SignedManifest

FORMAT = 3  # of the index itself; raised when it changes, so that caches are made anew


class ArchivedLayer(msgspec.Struct, kw_only=True, frozen=True):
    """A layer: `size_bytes` is uncompressed; the rest says where its stored bytes lie."""

    diff_id: str
    size_bytes: int
    member: str  # the file's name in the archive
    offset: int  # in the uncompressed tar; 0 in a folder
    stored_bytes: int
    compression: Compression  # of the file itself


class ArchivedImage(msgspec.Struct, kw_only=True, frozen=True):
    """An image. Those of one `entry` are the same image for different platforms."""

    config: bytes
    config_digest: str
    diff_ids: list[str]  # bottom first; one may come more than once
    tags: list[str] = []
    os: str = ""
    architecture: str = ""
    variant: str = ""
    manifest_digest: str | None = None
    entry: int = 0

    @property
    def platform(self) -> Platform:
        """What it was built for."""
        return Platform(self.os, self.architecture, self.variant)


class ArchiveIndex(msgspec.Struct, kw_only=True, frozen=True):
    """All images of an archive, and each of their layers once."""

    path: str
    size_bytes: int
    modified_ns: int
    compression: Compression  # of the whole file
    images: list[ArchivedImage]
    # As they lie in the archive; the contents of `files` are among them, by their SHA-256.
    layers: list[ArchivedLayer]
    files: list[NodeFile] = []  # a bundle's models and release files
    # Layers of its images, and contents of its files, that it leaves to another bundle.
    elsewhere: list[Layer] = []
    since: str | None = None  # which one, for people
    signed: list[SignedManifest] = []  # who vouches for its images; not checked here
    format: int = FORMAT

    @property
    def sizes(self) -> dict[str, int]:
        """Unpacked bytes of all layers of its images, by diff_id."""
        sizes = {layer.diff_id: layer.size_bytes for layer in self.elsewhere}
        return sizes | {layer.diff_id: layer.size_bytes for layer in self.layers}

    def layer(self, diff_id: str) -> ArchivedLayer:
        """Raises ProblemError `archive.layer_unknown`."""
        for layer in self.layers:
            if layer.diff_id == diff_id:
                return layer
        raise FaultError("archive.layer_unknown", f"it has no layer {diff_id}").problem(self.path)

    def content(self, image: ArchivedImage) -> ImageContent:
        """The image as the agent is asked to have it."""
        sizes = self.sizes
        return ImageContent(
            config=image.config,
            layers=[Layer(diff_id=name, size_bytes=sizes[name]) for name in image.diff_ids],
            tags=list(image.tags),
        )

    def for_platform(self, os: str, architecture: str, variant: str = "") -> list[ArchivedImage]:
        """Of each image the one that suits a node best, as containerd chooses; each once.

        Raises:
            ProblemError: `archive.platform` when an image has none that runs there.
        """
        wanted = Platform(os, architecture, variant)
        entries: dict[int, list[ArchivedImage]] = {}
        for image in self.images:
            entries.setdefault(image.entry, []).append(image)
        chosen: dict[str, ArchivedImage] = {}
        for images in entries.values():
            image = self._suiting(wanted, images)
            first = chosen.get(image.config_digest, image)
            tags = list(dict.fromkeys([*first.tags, *image.tags]))
            chosen[image.config_digest] = msgspec.structs.replace(first, tags=tags)
        return list(chosen.values())

    def _suiting(self, wanted: Platform, images: list[ArchivedImage]) -> ArchivedImage:
        # A config need not say for what it is; then the runtime decides.
        silent = next((image for image in images if not image.architecture), None)
        image = best(wanted, [(image.platform, image) for image in images]) or silent
        if image is None:
            name = ", ".join(images[0].tags) or images[0].config_digest
            has = ", ".join(str(image.platform) for image in images)
            raise FaultError(
                "archive.platform",
                f"{name} is for {has}, the node is {wanted}",
                hint=f"Save the image for this platform: docker pull --platform {wanted} ...",
            ).problem(self.path)
        return image
