"""What an archive that lies on the node gives to a load, a bundle's signature and gaps included."""

from __future__ import annotations

from pathlib import Path

from agent.archives.detached import with_signature
from agent.archives.index import ArchiveIndex
from agent.archives.indexing import Heard, index_archive
from agent.archives.layers import open_layer
from agent.images.loading import Open
from agent.images.planning import Planned
from agent.protocol.problems import ProblemError


def read_index(path: Path, heard: Heard) -> ArchiveIndex:
    """What the archive holds, with the signature in it or beside it. Blocks.

    Raises:
        ProblemError: `archive.*`, `bundle.*`.
    """
    return with_signature(index_archive(path, heard=heard))


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
            hint=f"Load {index.since} first, or make the bundle again without --since.",
        )


def layers_from(index: ArchiveIndex, otherwise: Open) -> Open:
    """Layers of a plain archive or a bundle where they lie; those it has not, from `otherwise`."""
    here = {layer.diff_id for layer in index.layers}
    return lambda diff_id: open_layer(index, diff_id) if diff_id in here else otherwise(diff_id)
