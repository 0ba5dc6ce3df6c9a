"""What is to be pushed: the images and files of some archives, for the platform of a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from agent.archives.carried_files import merged_files
from agent.archives.index import ArchivedImage, ArchiveIndex
from agent.protocol.images import ImageContent, Layer, LoadPlan, LoadRequest, NodeImage
from agent.protocol.problems import ProblemError
from console.text import plural, size

LINUX = "linux"


class Cargo(msgspec.Struct, frozen=True):
    """What one node is asked to have, and which archive has each of its layers."""

    request: LoadRequest
    places: dict[str, ArchiveIndex]  # by diff_id
    layers: dict[str, Layer]  # by diff_id, each once; a file is one by its SHA-256


def cargo_for(
    archives: Sequence[ArchiveIndex], *, architecture: str, make_room: bool = False
) -> Cargo:
    """The images of these archives that a node of this architecture runs, and all their files.

    An image that is in several of them is asked for once, with all its tags.

    Raises:
        ProblemError: `archive.platform`; `archive.tag_twice`, two images have the same name;
            `file.clash`.
    """
    files = merged_files(archives, ())
    contents: dict[str, ImageContent] = {}  # by config digest
    places: dict[str, ArchiveIndex] = {}
    named: dict[str, str] = {}
    for archive in archives:
        for layer in archive.layers:
            places.setdefault(layer.diff_id, archive)
        for image in archive.for_platform(LINUX, architecture):
            for tag in image.tags:
                if named.setdefault(tag, image.config_digest) != image.config_digest:
                    raise _twice(tag, archive)
            content = contents.setdefault(image.config_digest, archive.content(image))
            content.tags = list(dict.fromkeys([*content.tags, *image.tags]))
    images = list(contents.values())
    # The same images are the same job, whatever a file is called; only what has no name needs it.
    nameless = not named and not files
    names = ", ".join(dict.fromkeys(_name(archive) for archive in archives)) if nameless else ""
    layers = {layer.diff_id: layer for image in images for layer in image.layers}
    for file in files:
        layers[file.sha256] = Layer(diff_id=file.sha256, size_bytes=file.size_bytes)
    # The same bundle may be named twice.
    signed = list({each.manifest: each for archive in archives for each in archive.signed}.values())
    request = LoadRequest(
        images=images, files=files, source=names, signed=signed, make_room=make_room
    )
    return Cargo(request, places, layers)


def _name(archive: ArchiveIndex) -> str:
    return archive.path.rpartition("/")[2]


def check_carried(cargo: Cargo, archives: Sequence[ArchiveIndex], plan: LoadPlan) -> None:
    """See that these archives have whatever the node lacks.

    Raises:
        ProblemError: `bundle.needs`: one was made since another bundle, which comes first.
    """
    lacking = [layer for layer in plan.wanted if layer.diff_id not in cargo.places]
    for archive in archives:
        elsewhere = {layer.diff_id for layer in archive.elsewhere}
        missing = [layer for layer in lacking if layer.diff_id in elsewhere]
        if missing:
            count = sum(layer.size_bytes for layer in missing)
            of_files = {file.sha256 for file in archive.files}
            what = "file" if all(each.diff_id in of_files for each in missing) else "layer"
            raise ProblemError(
                "bundle.needs",
                f"the node lacks {plural(len(missing), what)}, {size(count)}, that"
                f" {archive.path} leaves to {archive.since}",
                params={"file": archive.path, "since": archive.since, "layers": len(missing)},
                hint=f"Name {archive.since} as well: roost bundle push {archive.since} ...",
            )


def _twice(tag: str, archive: ArchiveIndex) -> ProblemError:
    return ProblemError(
        "archive.tag_twice",
        f"two different images are called {tag}, one of them in {archive.path}",
        params={"tag": tag, "file": archive.path},
        hint="Push them one after the other, the one that shall have the name last.",
    )


def as_loaded(image: ArchivedImage, sizes: Mapping[str, int]) -> NodeImage:
    """The image as a node will have it; `sizes` are its layers' bytes by diffID."""
    return NodeImage(
        id=image.config_digest,
        config_digest=image.config_digest,
        diff_ids=image.diff_ids,
        tags=image.tags,
        size_bytes=sum(sizes.get(name, 0) for name in set(image.diff_ids)),
        os=image.os or "linux",
        architecture=image.architecture,
        variant=image.variant,
    )
