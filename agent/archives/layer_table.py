"""The layers of the found images: each once, with its size and place."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.archives.contents import Contents, Entry, Measure
from agent.archives.documents import FoundImage, FoundLayer
from agent.archives.faults import FaultError
from agent.archives.index import ArchivedLayer

BLOBS = "blobs/sha256/"
Measurer = Callable[[Entry], Measure]


def layer_table(
    contents: Contents, images: Iterable[FoundImage], measured: Measurer
) -> list[ArchivedLayer]:
    """All layers by their place in the archive; those compressed inside it are measured.

    Raises:
        FaultError: `archive.missing`, `archive.digest`, `archive.layer_corrupt`, and the
            measurer's.
    """
    placed = _placed(contents, images)
    layers: dict[str, ArchivedLayer] = {}
    for (diff_id, member), entry in placed.items():
        layer = _layer(diff_id, member, entry, measured)
        first = layers.setdefault(diff_id, layer)
        if first.size_bytes != layer.size_bytes:
            raise FaultError(
                "archive.layer_corrupt",
                f"it has {layer.size_bytes} bytes, but {first.member} is the same layer and has "
                f"{first.size_bytes}",
                member=member,
            )
    return sorted(layers.values(), key=lambda layer: (layer.offset, layer.member))


def _placed(contents: Contents, images: Iterable[FoundImage]) -> dict[tuple[str, str], Entry]:
    """The file of each layer, before anything large is read."""
    placed: dict[tuple[str, str], Entry] = {}
    owner: dict[str, FoundLayer] = {}
    for image in images:
        for layer in image.layers:
            entry = contents.find(layer.member)
            if entry is None:
                what = f"the file of layer {layer.diff_id} is not in the archive"
                raise FaultError("archive.missing", what, member=layer.member)
            if owner.setdefault(entry.name, layer).diff_id != layer.diff_id:
                raise FaultError(
                    "archive.digest", "two different layers name this file", member=layer.member
                )
            placed[layer.diff_id, entry.name] = entry
    return placed


def _layer(diff_id: str, member: str, entry: Entry, measured: Measurer) -> ArchivedLayer:
    size = entry.size_bytes
    if entry.compression != "none":
        found = measured(entry)
        size = found.size_bytes
        if f"sha256:{found.sha256}" != diff_id:
            what = f"its content is sha256:{found.sha256}, not {diff_id}"
            raise FaultError("archive.layer_corrupt", what, member=member)
    elif member.startswith(BLOBS) and member.removeprefix(BLOBS) != diff_id.partition(":")[2]:
        what = f"it is not compressed, so its name should be that of layer {diff_id}"
        raise FaultError("archive.digest", what, member=member)
    return ArchivedLayer(
        diff_id=diff_id,
        size_bytes=size,
        member=member,
        offset=entry.offset,
        stored_bytes=entry.size_bytes,
        compression=entry.compression,
    )
