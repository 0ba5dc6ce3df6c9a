"""What an archive that lies on the node gives to a load, a bundle's signature and gaps included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agent.archives.bundle_reading import is_bundle, read_bundle
from agent.archives.detached import with_signature
from agent.archives.faults import FaultError
from agent.archives.index import ArchiveIndex
from agent.archives.indexing import Heard, index_archive
from agent.archives.layers import open_layer
from agent.images.loading import Open
from agent.images.planning import Planned
from agent.protocol.problems import ProblemError

BASES_LIMIT = 16


def read_index(path: Path, heard: Heard) -> ArchiveIndex:
    """What the archive holds, with the signature in it or beside it. Blocks.

    Raises:
        ProblemError: `archive.*`, `bundle.*`.
    """
    return with_signature(index_archive(path, heard=heard))


def brings_only_files(path: Path) -> bool:
    """Whether it is a bundle without images: models and releases need no runtime. Blocks shortly.

    What cannot be read is none: the job says why.
    """
    try:
        return is_bundle(path) and not read_bundle(path).index.images
    except (OSError, FaultError, ProblemError):
        return False


def with_bases(index: ArchiveIndex) -> list[ArchiveIndex]:
    """The archive, and the bundles it was made since as far as they lie in its folder. Blocks.

    Stores that want every layer of an image in the archive (containerd's, Podman's) need them even
    where the images of those bundles are loaded. One that cannot be read is as good as none.
    """
    found = [index]
    while len(found) < BASES_LIMIT and (name := found[-1].since):
        path = Path(index.path).with_name(Path(name).name or "-")
        try:
            base = read_bundle(path).index
        except ProblemError:
            break
        if base.path in {each.path for each in found}:
            break
        found.append(base)
    return found


def check_complete(index: ArchiveIndex, planned: Planned) -> None:
    """See that what the archive leaves to another bundle is on the node.

    Raises:
        ProblemError: `bundle.needs`.
    """
    wanted = planned.answer.wanted
    if wanted:
        lacking = sum(layer.size_bytes for layer in wanted)
        raise ProblemError(
            "bundle.needs",
            f"{index.path}: this node lacks {len(wanted)} layers, {lacking} bytes, that"
            f" {index.since} has",
            params={"file": index.path, "since": index.since, "layers": len(wanted)},
            hint=f"Put {index.since} into the same folder, or load it first.",
        )


def layers_from(indexes: Sequence[ArchiveIndex], otherwise: Open) -> Open:
    """Layers of plain archives and bundles where they lie; those they lack, from `otherwise`."""
    places = {layer.diff_id: index for index in reversed(indexes) for layer in index.layers}
    return lambda diff_id: (
        open_layer(places[diff_id], diff_id) if diff_id in places else otherwise(diff_id)
    )
