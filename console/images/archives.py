"""What is to be pushed: the images of some archives, for the platform of a node."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from agent.archives.index import ArchiveIndex
from agent.protocol.images import Layer, LoadRequest
from agent.protocol.problems import ProblemError

LINUX = "linux"


class Cargo(msgspec.Struct, frozen=True):
    """What one node is asked to have, and which archive has each of its layers."""

    request: LoadRequest
    places: dict[str, ArchiveIndex]  # by diff_id


def cargo_for(archives: Sequence[ArchiveIndex], *, architecture: str) -> Cargo:
    """The images of these archives that a node of this architecture runs.

    Raises:
        ProblemError: `archive.platform`; `archive.tag_twice`, two images have the same name.
    """
    contents = []
    places: dict[str, ArchiveIndex] = {}
    named: dict[str, str] = {}
    for archive in archives:
        for image in archive.for_platform(LINUX, architecture):
            for tag in image.tags:
                if named.setdefault(tag, image.config_digest) != image.config_digest:
                    raise _twice(tag, archive)
            contents.append(archive.content(image))
            for diff_id in image.diff_ids:
                places.setdefault(diff_id, archive)
    names = ", ".join(dict.fromkeys(archive.path.rpartition("/")[2] for archive in archives))
    return Cargo(LoadRequest(images=contents, source=names), places)


def layers_of(cargo: Cargo) -> dict[str, Layer]:
    """Each layer once."""
    return {layer.diff_id: layer for image in cargo.request.images for layer in image.layers}


def _twice(tag: str, archive: ArchiveIndex) -> ProblemError:
    return ProblemError(
        "archive.tag_twice",
        f"two different images are called {tag}, one of them in {archive.path}",
        params={"tag": tag, "file": archive.path},
        hint="Push them one after the other, the one that shall have the name last.",
    )
