"""The two framings inside a runtime's streams, as decoders that do no I/O.

HTTP's chunks, and the frames that keep stdout and stderr apart on one connection: a header of
eight bytes (stream number, three zero bytes, big-endian length), then the payload. Neither keeps
payload: what comes in goes out, so a frame of any size needs no memory.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

StreamName = Literal["stdout", "stderr"]

# A size line is hex digits and perhaps an extension; nobody sends more.
SIZE_LINE_LIMIT_BYTES = 256
HEADER_BYTES = 8
_STDERR = 2


class FramingError(Exception):
    """The bytes are not what the framing allows."""


class Piece(NamedTuple):
    """Some payload. `begins`: it is the start of a chunk or frame."""

    data: bytes
    begins: bool


class Part(NamedTuple):
    """Some payload of one stream. `begins`: it is the start of a frame."""

    stream: StreamName
    data: bytes
    begins: bool


class ChunkDecoder:
    """Takes HTTP/1.1 chunked transfer coding off. `ended` after the last chunk."""

    def __init__(self) -> None:
        self.ended = False
        self._left = 0  # payload still to come of this chunk
        self._begins = False
        self._line = bytearray()  # a size line that is not complete yet
        self._between = False  # the line break after a chunk's payload comes next

    def feed(self, data: bytes) -> list[Piece]:
        """The payload in `data`.

        Raises:
            FramingError: a size line is not one.
        """
        pieces: list[Piece] = []
        at = 0
        while at < len(data) and not self.ended:
            if self._left:
                part = data[at : at + self._left]
                at += len(part)
                self._left -= len(part)
                self._between = not self._left
                pieces.append(Piece(part, self._begins))
                self._begins = False
                continue
            end = data.find(b"\n", at)
            self._line += data[at:] if end < 0 else data[at:end]
            if len(self._line) > SIZE_LINE_LIMIT_BYTES:
                raise FramingError("a chunk's size line is too long")
            if end < 0:
                break
            at = end + 1
            self._line_ended(bytes(self._line).strip())
            self._line.clear()
        return pieces

    def _line_ended(self, line: bytes) -> None:
        if self._between and not line:
            self._between = False
            return
        try:
            self._left = int(line.partition(b";")[0], 16)
        except ValueError:
            raise FramingError(f"{line[:40]!r} is not the size of a chunk") from None
        if self._left < 0:
            raise FramingError("a chunk's size is negative")
        self._begins = True
        self.ended = not self._left


class StreamDecoder:
    """Takes stdout and stderr apart."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._left = 0
        self._begins = False
        self._stream: StreamName = "stdout"

    def feed(self, data: bytes) -> list[Part]:
        """The payload in `data`, each part with the stream it belongs to.

        Raises:
            FramingError: a header names a stream that does not exist.
        """
        parts: list[Part] = []
        at, end = 0, len(data)
        while at < end:
            if self._left:
                part = data[at : at + self._left]
                at += len(part)
                self._left -= len(part)
                parts.append(Part(self._stream, part, self._begins))
                self._begins = False
                continue
            missing = HEADER_BYTES - len(self._header)
            self._header += data[at : at + missing]
            at += missing
            if len(self._header) == HEADER_BYTES:
                self._open(bytes(self._header))
                self._header.clear()
        return parts

    def _open(self, header: bytes) -> None:
        number = header[0]
        if number > _STDERR or header[1:4] != b"\0\0\0":
            raise FramingError(f"{header!r} is not the header of a frame")
        self._stream = "stderr" if number == _STDERR else "stdout"
        self._left = int.from_bytes(header[4:], "big")
        self._begins = True
