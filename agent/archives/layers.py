"""Layers as streams of their uncompressed tar, verified as they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, closing
from inspect import GEN_RUNNING, getgeneratorstate
from pathlib import Path
from types import TracebackType
from typing import Protocol

from agent.archives.bundle_parts import Facts, facts_of, parts_at
from agent.archives.decompressors import CutOffError, DamagedError, decompressor
from agent.archives.faults import FaultError, told_about
from agent.archives.index import ArchivedLayer, ArchiveIndex
from agent.archives.oci_layout import INDEX
from agent.archives.opening import is_folder, opened, opened_member
from agent.archives.sources import CHUNK_BYTES, PartSource, Source, decompressed

READ_LIMIT_BYTES = CHUNK_BYTES


class Reader(Protocol):
    """Bytes to be read forwards."""

    def read(self, count: int) -> bytes:
        """Up to `count` bytes and never more than 1 MiB; b"" at the end."""


class LayerReader(AbstractContextManager["LayerReader"]):
    """The uncompressed bytes of one layer.

    The last bytes are handed out only when the size is right and the SHA-256 is the diff_id.
    Never reads more than the layer's size, so it cannot fill a disk.
    """

    def __init__(self, path: str, layer: ArchivedLayer, stored: Source) -> None:
        self.layer = layer
        self.position = 0
        self._path = path
        self._hash = hashlib.sha256()
        self._closed = False
        self._verified = False
        self._closing: Callable[[], object] = lambda: None
        self._source: Source = PartSource(stored, layer.stored_bytes)
        if layer.compression != "none":
            self._source = decompressed(self._source, decompressor(layer.compression))

    def read(self, count: int) -> bytes:
        """Up to `count` bytes and never more than 1 MiB; b"" at the end.

        Raises:
            ProblemError: `archive.layer_corrupt`, or that the archive cannot be read.
            ValueError: the archive was closed, or its reader is at the next layer.
        """
        if self._closed:
            raise ValueError("this layer's turn in the archive is over")
        left = self.layer.size_bytes - self.position
        count = min(count, left, READ_LIMIT_BYTES)
        with told_about(self._path):
            data = self._read(count)
            self.position += len(data)
            self._hash.update(data)
            if self.position == self.layer.size_bytes and not self._verified:
                self._check()
                self._verified = True
        return data

    def skip(self, count: int) -> None:
        """Read and drop, at most to the end. Raises as `read` does."""
        while count > 0 and (data := self.read(count)):
            count -= len(data)

    def on_close(self, closing: Callable[[], object]) -> None:
        """What to close with this reader."""
        self._closing = closing

    def close(self) -> None:
        """Let go of the archive; a later read is an error."""
        if not self._closed:
            self._closed = True
            self._closing()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self, count: int) -> bytes:
        try:
            data = self._source.read(count)
        except CutOffError as error:
            raise self._corrupt(str(error)) from None
        except DamagedError as error:
            raise self._corrupt(f"its compressed data is damaged: {error}") from None
        if len(data) < count:
            short = self.position + len(data)
            raise self._corrupt(f"it has only {short} of {self.layer.size_bytes} bytes")
        return data

    def _check(self) -> None:
        if self._hash.hexdigest() != self.layer.diff_id.partition(":")[2]:
            what = f"its content is sha256:{self._hash.hexdigest()}, not {self.layer.diff_id}"
            raise self._corrupt(what)
        try:
            more = self._source.read(1)
        except DamagedError as error:
            raise self._corrupt(f"its compressed data is damaged: {error}") from None
        if more:
            raise self._corrupt(f"it has more than {self.layer.size_bytes} bytes")

    def _corrupt(self, what: str) -> FaultError:
        if parts := parts_at(Path(self._path), self.layer.offset, self.layer.stored_bytes):
            what += f"; it lies in {', '.join(parts)}"
        return FaultError("archive.layer_corrupt", what, member=self.layer.member)


Layers = Generator[tuple[ArchivedLayer, LayerReader], None, None]
Sources = Generator[tuple[ArchivedLayer, Source], None, None]


def open_layer(index: ArchiveIndex, diff_id: str) -> LayerReader:
    """One layer; close it. In a plain archive it is found at once, else all before it is read.

    Raises:
        ProblemError: `archive.layer_unknown`, `archive.changed`, or that it cannot be read.
    """
    readers = read_layers(index, {diff_id})
    _, reader = next(readers)
    # Whoever drops the reader unclosed has the generator closed first, which closes the reader.
    reader.on_close(lambda: None if getgeneratorstate(readers) == GEN_RUNNING else readers.close())
    return reader


def read_layers(index: ArchiveIndex, wanted: AbstractSet[str]) -> Layers:
    """Several layers as they lie in the archive, in one pass.

    A reader is good until the next is asked for; what was not read of it is passed over and not
    verified. Who does not take all closes the iterator.

    Raises:
        ProblemError: as `open_layer`, when the first or next one is asked for.
    """
    with closing(_stored(index, wanted)) as sources:
        for layer, stored in sources:
            with LayerReader(index.path, layer, stored) as reader:
                yield layer, reader


def unverified_layers(index: ArchiveIndex, wanted: AbstractSet[str]) -> Sources:
    """As `read_layers`, but only what is read of a layer is read: in a plain archive that is fast.

    A source raises what `sources` and the decompressors do, and nobody checks that it is the layer
    of that diff_id.
    """
    with closing(_stored(index, wanted)) as sources:
        for layer, stored in sources:
            source: Source = PartSource(stored, layer.stored_bytes)
            if layer.compression != "none":
                source = decompressed(source, decompressor(layer.compression))
            yield layer, PartSource(source, layer.size_bytes)


def _stored(index: ArchiveIndex, wanted: AbstractSet[str]) -> Sources:
    layers = [index.layer(diff_id) for diff_id in wanted]
    layers.sort(key=lambda layer: (layer.offset, layer.member))
    path = Path(index.path)
    return _in_folder(path, index, layers) if is_folder(path) else _in_tar(path, index, layers)


def _in_tar(path: Path, index: ArchiveIndex, layers: list[ArchivedLayer]) -> Sources:
    with opened(path, compression=index.compression) as archive:
        _check_unchanged(index, archive.facts)
        for layer in layers:
            archive.source.skip(layer.offset - archive.source.position)
            yield layer, archive.source


def _in_folder(path: Path, index: ArchiveIndex, layers: list[ArchivedLayer]) -> Sources:
    with told_about(path):
        _check_unchanged(index, facts_of(path / INDEX))
        for layer in layers:
            with opened_member(path, layer.member, 0, layer.stored_bytes) as stored:
                yield layer, stored


def _check_unchanged(index: ArchiveIndex, facts: Facts) -> None:
    if facts != (index.size_bytes, index.modified_ns):
        raise FaultError("archive.changed", "it was changed after Roost looked into it")
