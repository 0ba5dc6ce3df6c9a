"""What archives have for a release: its images by name, for the CPU of a node."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import msgspec

from agent.archives.index import ArchivedImage, ArchiveIndex
from agent.rules.references import familiar
from console.images.archives import LINUX
from console.rollouts.record import ArchiveFile


class Parcels:
    """The images of some archives."""

    def __init__(self, archives: Sequence[ArchiveIndex]) -> None:
        self.archives = list(archives)

    @property
    def names(self) -> list[str]:
        """All names that images have there, in their short form."""
        found = (tag for archive in self.archives for image in archive.images for tag in image.tags)
        return sorted(set(map(familiar, found)))

    def has(self, name: str) -> bool:
        """Whether an image is there that is meant by `name`, for whatever CPU."""
        return any(_is(image, name) for archive in self.archives for image in archive.images)

    def find(self, name: str, architecture: str) -> ArchivedImage | None:
        """The image for that CPU; None: no archive has the name.

        Raises:
            ProblemError: `archive.platform`: there is none for that CPU.
        """
        for archive in self.archives:
            for image in _only(archive, [name]).for_platform(LINUX, architecture):
                return image
        return None

    def of(self, names: Collection[str]) -> list[ArchiveIndex]:
        """The archives as if only these images were in them; all of their layers stay."""
        return [_only(archive, names) for archive in self.archives]

    def unused(self, names: Collection[str]) -> list[str]:
        """Paths of archives that have none of these images."""
        return [
            archive.path
            for archive in self.archives
            if not any(_is(image, name) for image in archive.images for name in names)
        ]


def remembered(archive: ArchiveIndex) -> ArchiveFile:
    """What a plan keeps of it."""
    images = sorted((image.config_digest, *sorted(image.tags)) for image in archive.images)
    return ArchiveFile(
        path=archive.path,
        size_bytes=archive.size_bytes,
        modified_ns=archive.modified_ns,
        digest=hashlib.sha256(msgspec.json.encode(images)).hexdigest(),
    )


def _only(archive: ArchiveIndex, names: Collection[str]) -> ArchiveIndex:
    """With the images of these names, and of each the others of its entry: other platforms'."""
    entries = {each.entry for each in archive.images if any(_is(each, name) for name in names)}
    wanted = set(map(familiar, names))
    images = [
        msgspec.structs.replace(
            image,
            tags=[
                tag for tag in image.tags if image.config_digest in names or familiar(tag) in wanted
            ],
        )
        for image in archive.images
        if image.entry in entries
    ]
    return msgspec.structs.replace(archive, images=images)


def _is(image: ArchivedImage, name: str) -> bool:
    return name == image.config_digest or familiar(name) in map(familiar, image.tags)
