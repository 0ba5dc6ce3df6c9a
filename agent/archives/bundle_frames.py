"""Where the zstd frames of a bundle lie: the seek table at its end.

A bundle is a tar in zstd's seekable format (zstd's contrib/seekable_format): the same bytes for
`zstd -d`, and a last frame, which decoders skip, with the sizes of all frames. Each entry of the
tar begins a frame, so that a layer can be read without what lies before it.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Sequence
from itertools import accumulate
from typing import BinaryIO, NamedTuple

from agent.archives.faults import FaultError

SKIPPED_MAGIC = 0x184D2A5E
TABLE_MAGIC = 0x8F92EAB1
HEAD = struct.Struct("<II")  # of the skipped frame: magic, size of what follows
FRAME = struct.Struct("<II")  # compressed, decompressed
FOOT = struct.Struct("<IBI")  # frames, descriptor, magic
# The format gives a frame's size 32 bits and allows 1 GiB; smaller frames are cheap.
FRAME_BYTES = 64 * 1024 * 1024
FRAMES_LIMIT = 1 << 20


class Frame(NamedTuple):
    """Sizes of one frame."""

    compressed: int
    decompressed: int


class Place(NamedTuple):
    """Whole frames, next to each other, in the file."""

    offset: int
    stored_bytes: int


class FrameTable:
    """Finds frames by where their content lies in the decompressed tar."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self._stored = [0, *accumulate(frame.compressed for frame in frames)]
        self._plain = [0, *accumulate(frame.decompressed for frame in frames)]

    @property
    def stored_bytes(self) -> int:
        """Of all frames, without the table."""
        return self._stored[-1]

    @property
    def plain_bytes(self) -> int:
        """Of the tar."""
        return self._plain[-1]

    def place(self, offset: int, size_bytes: int) -> Place:
        """The frames that hold exactly these bytes of the tar.

        Raises:
            FaultError: `archive.damaged` where frames do not begin and end there.
        """
        first = bisect.bisect_left(self._plain, offset)
        last = bisect.bisect_left(self._plain, offset + size_bytes)
        ends = (
            self._plain[first] if first < len(self._plain) else -1,
            self._plain[last] if last < len(self._plain) else -1,
        )
        if ends != (offset, offset + size_bytes):
            raise FaultError("archive.damaged", "its seek table does not fit its manifest")
        return Place(self._stored[first], self._stored[last] - self._stored[first])


def table_bytes(frames: Sequence[Frame]) -> bytes:
    """The table of these frames, as it is written behind them."""
    body = b"".join(FRAME.pack(*frame) for frame in frames)
    body += FOOT.pack(len(frames), 0, TABLE_MAGIC)
    return HEAD.pack(SKIPPED_MAGIC, len(body)) + body


def read_table(file: BinaryIO, size_bytes: int) -> FrameTable:
    """The table at the end of an open file.

    Raises:
        FaultError: `archive.truncated`, `archive.damaged`.
    """
    if size_bytes < HEAD.size + FOOT.size:
        raise _cut_off()
    file.seek(size_bytes - FOOT.size)
    count, descriptor, magic = FOOT.unpack(file.read(FOOT.size))
    if magic != TABLE_MAGIC:
        raise _cut_off()
    table_size = HEAD.size + count * FRAME.size + FOOT.size
    if descriptor or count > FRAMES_LIMIT or table_size > size_bytes:
        raise FaultError("archive.damaged", "its seek table is not valid")
    file.seek(size_bytes - table_size)
    data = file.read(table_size)
    head = HEAD.unpack_from(data)
    frames = [Frame(*pair) for pair in FRAME.iter_unpack(data[HEAD.size : -FOOT.size])]
    table = FrameTable(frames)
    if head != (SKIPPED_MAGIC, table_size - HEAD.size):
        raise FaultError("archive.damaged", "its seek table is not valid")
    if table.stored_bytes + table_size != size_bytes:
        raise FaultError("archive.damaged", "its seek table is about another file")
    return table


def _cut_off() -> FaultError:
    return FaultError(
        "archive.truncated", "the bundle's end is missing, or another program packed it anew"
    )
