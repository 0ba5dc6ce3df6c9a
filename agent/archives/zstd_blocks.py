"""Where the blocks of a zstd stream begin and end (RFC 8878, section 3.1).

The library's own stream readers take a stream that was cut off for a whole one, or put out as
much at once as the input asks for. Fed with one block at a time it does neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
SKIPPED_MAGIC = b"\x2a\x4d\x18"  # after one byte from 0x50 to 0x5f
BLOCK_LIMIT_BYTES = 128 * 1024
RLE, RESERVED = 1, 3  # types of blocks
CHECKSUM_BYTES = 4


class Piece(NamedTuple):
    """A frame's header, or one block of it; the last block has the checksum with it."""

    data: bytes
    begins: bool
    ends: bool


class NotZstdError(Exception):
    """The bytes do not follow the format."""


class ZstdBlocks:
    """Cuts a stream, given in parts of any size, into pieces of some 128 KiB at most."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._wants = len(FRAME_MAGIC)
        self._next: Callable[[bytes], Piece | None] = self._magic
        self._skip = 0
        self._frames = 0
        self._begun = b""
        self._last = False
        self._checksum = False

    @property
    def complete(self) -> bool:
        """At least one frame came, and the last one is whole."""
        between = self._next == self._magic and not self._held and not self._skip
        return between and self._frames > 0

    def split(self, data: bytes) -> Iterator[Piece]:
        """The pieces that this part completes. Raises NotZstdError."""
        view = memoryview(data)
        at = 0
        while True:
            if self._skip:
                skipped = min(self._skip, len(view) - at)
                self._skip -= skipped
                at += skipped
                if self._skip:
                    return
            part = view[at : at + self._wants - len(self._held)]
            self._held += part
            at += len(part)
            if len(self._held) < self._wants:
                return
            taken = bytes(self._held)
            self._held.clear()
            piece = self._next(taken)
            if piece is not None:
                yield piece

    def _then(self, step: Callable[[bytes], Piece | None], wants: int) -> None:
        self._next, self._wants = step, wants

    def _magic(self, taken: bytes) -> None:
        if taken == FRAME_MAGIC:
            self._begun = taken
            self._then(self._descriptor, 1)
        elif taken.endswith(SKIPPED_MAGIC) and taken[0] & 0xF0 == 0x50:
            self._then(self._skipped, 4)
        else:
            raise NotZstdError("what follows is not a zstd frame")

    def _skipped(self, taken: bytes) -> None:
        self._skip = int.from_bytes(taken, "little")
        self._then(self._magic, len(FRAME_MAGIC))

    def _descriptor(self, taken: bytes) -> None:
        descriptor = taken[0]
        single = descriptor >> 5 & 1
        window = 1 - single
        dictionary = (0, 1, 2, 4)[descriptor & 3]
        content = (single, 2, 4, 8)[descriptor >> 6]
        self._checksum = bool(descriptor >> 2 & 1)
        self._begun += taken
        self._then(self._rest_of_header, window + dictionary + content)

    def _rest_of_header(self, taken: bytes) -> Piece:
        self._then(self._block, 3)
        return Piece(self._begun + taken, begins=True, ends=False)

    def _block(self, taken: bytes) -> None:
        header = int.from_bytes(taken, "little")
        kind, size = header >> 1 & 3, header >> 3
        if kind == RESERVED or size > BLOCK_LIMIT_BYTES:
            raise NotZstdError("a zstd block is not valid")
        self._begun = taken
        self._last = bool(header & 1)
        body = 1 if kind == RLE else size
        self._then(self._body, body + CHECKSUM_BYTES * (self._last and self._checksum))

    def _body(self, taken: bytes) -> Piece:
        if self._last:
            self._frames += 1
            self._then(self._magic, len(FRAME_MAGIC))
        else:
            self._then(self._block, 3)
        return Piece(self._begun + taken, begins=False, ends=self._last)
