"""Writing a bundle in parts, which appear only when they are whole, and their list after them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from agent.archives.bundle_parts import PARTS_LIMIT, Part, PartList
from agent.archives.faults import FaultError
from agent.durable import appearing, sync, sync_folder, write_whole


class PartsWriter:
    """Writes into parts of so many bytes at the most; see `writing_parts`."""

    def __init__(self, path: Path, part_bytes: int, stack: ExitStack) -> None:
        self._path, self._part_bytes, self._stack = path, part_bytes, stack
        self._file: BinaryIO | None = None
        self._left = 0
        self._hash = hashlib.sha256()
        self.parts: list[Part] = []

    def write(self, data: bytes) -> int:
        """All of it. Raises OSError."""
        view = memoryview(data)
        while view:
            file = self._file or self._begin()
            piece = view[: self._left]
            file.write(piece)
            self._hash.update(piece)
            self._left -= len(piece)
            view = view[len(piece) :]
            if not self._left:
                self.finish()
        return len(data)

    def finish(self) -> None:
        """The part that was begun is whole, and on the disk. Raises OSError."""
        if self._file is None:
            return
        sync(self._file)
        size = self._part_bytes - self._left
        digest = f"sha256:{self._hash.hexdigest()}"
        name = f"{self._path.name}.{len(self.parts) + 1:03}"
        self.parts.append(Part(name=name, size_bytes=size, sha256=digest))
        self._file = None

    def _begin(self) -> BinaryIO:
        number = len(self.parts) + 1
        if number > PARTS_LIMIT:
            raise FaultError(
                "bundle.unwritable",
                f"it would be more than {PARTS_LIMIT} parts",
                hint="Make the parts larger.",
            )
        place = self._path.with_name(f"{self._path.name}.{number:03}")
        self._file = self._stack.enter_context(appearing(place, mode=0o644))
        self._left, self._hash = self._part_bytes, hashlib.sha256()
        return self._file


@contextmanager
def writing_parts(path: Path, part_bytes: int) -> Iterator[PartsWriter]:
    """Parts of a new bundle, and the list of them, which take their names when the block ends.

    Where the block fails, what was there before stays. The list comes last.

    Raises:
        OSError: also what the block raises goes through as it is.
        FaultError: `bundle.unwritable`.
    """
    with ExitStack() as stack:
        writer = PartsWriter(path, part_bytes, stack)
        yield writer
        writer.finish()
    sync_folder(path.parent)
    write_whole(path, msgspec.json.encode(PartList(parts=writer.parts)), mode=0o644)
