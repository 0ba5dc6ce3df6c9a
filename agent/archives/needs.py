"""What an image needs to run, read out of its archive: no node, no network, nothing is started."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from agent.archives.config_needs import needs_of_archived
from agent.archives.faults import shown, told_about
from agent.archives.found_needs import add_files
from agent.archives.index import ArchivedImage, ArchiveIndex
from agent.archives.indexing import Heard, unheard
from agent.archives.layer_facts import LayerFacts, layer_facts
from agent.archives.layer_walk import visible
from agent.archives.layers import unverified_layers
from agent.archives.sources import Source
from agent.protocol.compatibility import ImageNeeds

HEARD_BYTES = 4 * 1024 * 1024


def read_needs(index: ArchiveIndex, image: ArchivedImage, *, heard: Heard = unheard) -> ImageNeeds:
    """What one image of an archive needs. Damaged layers are told in `unknown`.

    Raises:
        ProblemError: `archive.changed`, or that the file cannot be read.
    """
    return needs_of_image(image, look_into(index, set(image.diff_ids), heard=heard), index)


def look_into(
    index: ArchiveIndex, wanted: set[str], *, heard: Heard = unheard
) -> dict[str, LayerFacts]:
    """What lies in those of these layers that the archive has, in one pass; memory stays flat.

    The layers are not verified: whoever loads them does that. What `heard` raises ends it.

    Raises:
        ProblemError: `archive.changed`, or that the file cannot be read.
    """
    sizes = {layer.diff_id: layer.size_bytes for layer in index.layers}
    there = wanted & sizes.keys()
    total = sum(sizes[diff_id] for diff_id in there)
    found: dict[str, LayerFacts] = {}
    done = 0
    with told_about(index.path):
        for layer, source in unverified_layers(index, there):
            found[layer.diff_id] = layer_facts(Listening(source, heard, done, total))
            done += layer.size_bytes
            heard(done, total)
    return found


def needs_of_image(
    image: ArchivedImage, layers: Mapping[str, LayerFacts], index: ArchiveIndex
) -> ImageNeeds:
    """The needs by an image's config and by what was found in its layers."""
    needs = needs_of_archived(
        image.config, os=image.os, architecture=image.architecture, variant=image.variant
    )
    lacking = [diff_id for diff_id in image.diff_ids if diff_id not in layers]
    problem = ""
    if lacking:
        problem = f"{len(lacking)} of its layers are not in {posixpath.basename(index.path)}"
    for number, diff_id in enumerate(image.diff_ids):
        if diff_id in layers and layers[diff_id].problem:
            problem = problem or f"layer {number + 1}: {shown(layers[diff_id].problem)}"
    files = visible([layers[diff_id] for diff_id in image.diff_ids if diff_id in layers])
    add_files(needs, files, problem=problem)
    return needs


class Listening:
    """A source that tells now and then how far it is, also within one large file."""

    def __init__(self, source: Source, heard: Heard, at: int, total: int) -> None:
        self._source, self._heard = source, heard
        self._at, self._total = at, total
        self._told = 0
        self.position = source.position

    def read(self, count: int) -> bytes:
        data = self._source.read(count)
        self._passed(len(data))
        return data

    def skip(self, count: int) -> None:
        while count > 0:
            step = min(count, HEARD_BYTES)
            self._source.skip(step)
            self._passed(step)
            count -= step

    def _passed(self, count: int) -> None:
        self.position += count
        if self.position - self._told >= HEARD_BYTES:
            self._told = self.position
            self._heard(self._at + self.position, self._total)
