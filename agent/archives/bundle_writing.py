"""Writing a bundle: the tar, its frames, and a file that appears only when it is whole."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from agent.archives.bundle_frames import FRAME_BYTES, Frame, table_bytes
from agent.archives.bundle_manifest import CONTENT, MANIFEST, SIGNATURE, SNAPSHOT_NAME
from agent.archives.bundle_part_writing import PartsWriter, writing_parts
from agent.archives.bundle_parts import part_names
from agent.archives.bundle_planning import BundlePlan
from agent.archives.bundle_reading import Seal
from agent.archives.carried_files import LooseReader
from agent.archives.faults import FaultError
from agent.archives.indexing import Heard, unheard
from agent.archives.layers import Reader, read_layers
from agent.archives.opening import opened
from agent.archives.sources import CHUNK_BYTES
from agent.archives.tar_headers import BLOCK_BYTES
from agent.archives.writing import END, file_header
from agent.durable import appearing, sync, sync_folder
from agent.protocol.problems import ProblemError
from agent.protocol.signatures import SignedManifest

LEVEL = 3

Sign = Callable[[bytes], SignedManifest]


def write_bundle(
    path: Path,
    plan: BundlePlan,
    *,
    sign: Sign | None,
    level: int = LEVEL,
    part_bytes: int | None = None,
    mode: int = 0o644,
    heard: Heard = unheard,
) -> None:
    """Write it; every layer is verified while it is read. A file that was there is replaced.

    Args:
        sign: signs the manifest; None: the bundle says nothing of who made it.
        level: zstd's, 1 to 19.
        part_bytes: how large a file may be; then `path` is a list of parts. None: it is one file.
        mode: who may read it, from its beginning; not of parts.
        heard: told how many bytes of layers were read, and of how many.

    Raises:
        ProblemError: `bundle.unwritable`, and what reading the layers raises; then what was
            at `path` before is still there.
    """
    before = part_names(path)
    with _told(path):
        if part_bytes is None:
            with appearing(path, mode=mode) as file:
                _write(_Frames(file, level), plan, sign, heard)
                sync(file)
        else:
            with writing_parts(path, part_bytes) as parts:
                _write(_Frames(parts, level), plan, sign, heard)
        for name in set(before) - set(part_names(path)):
            path.with_name(name).unlink(missing_ok=True)
        sync_folder(path.parent)


def _write(frames: _Frames, plan: BundlePlan, sign: Sign | None, heard: Heard) -> None:
    manifest = msgspec.json.encode(plan.manifest)
    frames.small(MANIFEST, manifest)
    if sign is not None:
        signed = sign(manifest)
        seal = Seal(key=signed.key, signature=signed.signature)
        frames.small(SIGNATURE, msgspec.json.encode(seal))
    names = {entry.sha256: entry.name for entry in plan.manifest.entries}
    for digest, config in plan.configs.items():
        frames.small(names[digest], config)
    if plan.snapshot is not None:
        frames.small(SNAPSHOT_NAME, plan.snapshot)
    total = sum(entry.size_bytes for entry in plan.manifest.entries if entry.kind in CONTENT)
    done = 0
    for part in plan.parts:
        readers = read_layers(part.archive, {layer.diff_id for layer in part.layers})
        try:
            for layer, reader in readers:
                for count in frames.large(names[layer.diff_id], reader, layer.size_bytes):
                    done += count
                    heard(done, total)
        finally:
            readers.close()
    for loose in plan.loose:
        with opened(loose.path, compression="none") as source:
            file_reader = LooseReader(loose, source.file)
            for count in frames.large(loose.file.place, file_reader, loose.file.size_bytes):
                done += count
                heard(done, total)
    frames.finish()


class _Frames:
    """The tar in zstd frames. What is small shares frames, the content of a layer never does."""

    def __init__(self, file: BinaryIO | PartsWriter, level: int) -> None:
        self._file = file
        # One thread: with several, the library holds a whole frame back.
        self._zstd = zstandard.ZstdCompressor(level=level, write_checksum=True)
        self._pending = bytearray()
        self._frames: list[Frame] = []

    def small(self, name: str, content: bytes) -> None:
        """An entry from memory."""
        self._pending += file_header(name, len(content)) + content
        self._pending += bytes(-len(content) % BLOCK_BYTES)

    def large(self, name: str, reader: Reader, size: int) -> Iterator[int]:
        """An entry from a reader that gives so many bytes and no more; yields as it goes."""
        self._pending += file_header(name, size)
        self._flush()
        left = size
        while left:
            length = min(left, FRAME_BYTES)
            yield from self._frame(reader, length)
            left -= length
        # A reader that verifies does so at its end, which is here also for an empty layer.
        reader.read(1)
        self._pending += bytes(-size % BLOCK_BYTES)

    def finish(self) -> None:
        """The end of the tar, and the seek table."""
        self._pending += END
        self._flush()
        self._put(table_bytes(self._frames))

    def _flush(self) -> None:
        stored = self._put(self._zstd.compress(bytes(self._pending)))
        self._frames.append(Frame(stored, len(self._pending)))
        self._pending.clear()

    def _frame(self, reader: Reader, length: int) -> Iterator[int]:
        zstd = self._zstd.compressobj(size=length)
        stored, left = 0, length
        while left:
            data = reader.read(min(left, CHUNK_BYTES))
            stored += self._put(zstd.compress(data))
            left -= len(data)
            yield len(data)
        stored += self._put(zstd.flush())
        self._frames.append(Frame(stored, length))

    def _put(self, data: bytes) -> int:
        self._file.write(data)
        return len(data)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except FaultError as fault:
        raise fault.problem(str(path)) from None
    except OSError as error:
        hints = {
            errno.EFBIG: "A FAT stick takes files up to 4 GiB: add --split 3900MiB.",
            errno.ENOSPC: "Make room there, or write less with --since.",
        }
        raise ProblemError(
            "bundle.unwritable",
            f"{path}: {error.strerror or error}",
            params={"file": str(path)},
            hint=hints.get(error.errno or 0, "Check the folder and its permissions."),
        ) from None
