"""What was found in the layers of archives before, by path, size and time of change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.archives.index import ArchivedImage, ArchiveIndex
from agent.archives.indexing import Heard, unheard
from agent.archives.kept_files import ENTRIES_LIMIT, KeptFiles
from agent.archives.layer_facts import LayerFacts
from agent.archives.needs import look_into, needs_of_image
from agent.protocol.compatibility import ImageNeeds

FORMAT = 1  # raised when what is looked for changes


class KeptLayers(msgspec.Struct, kw_only=True):
    """The layers of an archive as it was then."""

    archive: tuple[str, int, int]  # path, size, time of change
    layers: dict[str, LayerFacts]
    format: int = FORMAT


class NeedsCache:
    """A folder with one file for each archive: another one than the indexes'."""

    def __init__(self, folder: Path, *, entries_limit: int = ENTRIES_LIMIT) -> None:
        self._files = KeptFiles(folder, entries_limit=entries_limit)

    def needs(
        self,
        index: ArchiveIndex,
        image: ArchivedImage,
        *,
        beside: Sequence[ArchiveIndex] = (),
        heard: Heard = unheard,
    ) -> ImageNeeds:
        """What an image needs; layers that its archive leaves to others are looked for there.

        Raises:
            ProblemError: as `read_needs`.
        """
        layers = self.layers(index, set(image.diff_ids), heard=heard)
        for other in beside:
            lacking = set(image.diff_ids) - layers.keys()
            if lacking & {layer.diff_id for layer in other.layers}:
                layers = self.layers(other, lacking, heard=heard) | layers
        return needs_of_image(image, layers, index)

    def layers(
        self, index: ArchiveIndex, wanted: set[str], *, heard: Heard = unheard
    ) -> dict[str, LayerFacts]:
        """Those of these layers that it has, kept or looked into now. Raises ProblemError."""
        path = Path(index.path)
        archive = (index.path, index.size_bytes, index.modified_ns)
        kept = self._files.read(path, KeptLayers)
        known: dict[str, LayerFacts] = {}
        if kept is not None and (kept.format, kept.archive) == (FORMAT, archive):
            known = kept.layers
            self._files.touch(path)
        if lacking := (wanted & {layer.diff_id for layer in index.layers}) - known.keys():
            known |= look_into(index, lacking, heard=heard)
            self._files.keep(path, KeptLayers(archive=archive, layers=known))
        return {diff_id: known[diff_id] for diff_id in wanted & known.keys()}
