"""The packages of an archive's images, read with a line that says how far it is."""

from __future__ import annotations

from pathlib import Path

from agent.archives.index import ArchivedImage
from agent.archives.package_lists import packages_of
from console.cli.image_options import Reading, read_archives
from console.images.spdx import Subject


def read_packages(archive: Path) -> list[Subject]:
    """Of each of its images.

    Raises:
        ProblemError: `archive.*`.
    """
    (index,) = read_archives([archive])
    told = Reading(archive.name, verb="looking into")
    try:
        return [
            Subject(
                _name(image),
                image.config_digest,
                "Image",
                packages_of(index, image, heard=told.heard),
            )
            for image in index.images
        ]
    finally:
        told.clear()


def _name(image: ArchivedImage) -> str:
    """What people call it."""
    return image.tags[0] if image.tags else image.config_digest
