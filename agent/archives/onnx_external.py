"""The files that an ONNX model is made of: itself, and its external data, which lies beside it.

The file is read in pieces and never held: it may be larger than memory. Of protobuf no more is
read than it takes to find the names of external data.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from agent.protocol.problems import ProblemError

WINDOW_BYTES = 64 * 1024
# Graphs in attributes of nodes of graphs; real models have three or four levels.
DEPTH_LIMIT = 64
NAME_LIMIT_BYTES = 4096
FILES_LIMIT = 10_000
# onnx.proto3: in which field of what lies which kind of message that leads to a tensor.
_BELOW: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def external_names(file: BinaryIO, size: int, path: Path) -> list[str]:
    """The names that the model in an open file of that size has for its external data, sorted.

    Raises:
        ProblemError: `engine.onnx`: it is no whole model.
        OSError: it cannot be read.
    """
    return sorted(set(_external_names(file, size, path)))


def beside(path: Path, name: str) -> Path:
    """Where external data lies: ONNX wants it in the model's folder or below it.

    Raises:
        ProblemError: `engine.onnx`.
    """
    place = Path(name)
    if place.is_absolute() or ".." in place.parts or "\0" in name:
        raise unusable(path, f"{path} names external data outside of its folder: {name!r}")
    return path.parent / place


def unusable(path: Path, text: str) -> ProblemError:
    """Why an ONNX cannot be used."""
    return ProblemError(
        "engine.onnx",
        text,
        params={"onnx": str(path)},
        hint="The recipe's `onnx` is one file, and its external data lies beside it.",
    )


class _Window:
    """A file of which a piece at a time is in memory."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._start, self._piece = 0, b""

    def bytes(self, at: int, count: int) -> bytes:
        if not self._start <= at <= at + count <= self._start + len(self._piece):
            self._file.seek(at)
            self._start, self._piece = at, self._file.read(max(count, WINDOW_BYTES))
        found = self._piece[at - self._start : at - self._start + count]
        if len(found) < count:
            raise self.broken()
        return found

    def varint(self, at: int) -> tuple[int, int]:
        """The number, and where what follows begins."""
        value = 0
        for place in range(10):
            byte = self.bytes(at + place, 1)[0]
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value, at + place + 1
        raise self.broken()

    def fields(self, at: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The number, begin and end of each field that is bytes."""
        while at < end:
            tag, at = self.varint(at)
            kind = tag & 7
            if kind == _VARINT:
                _, at = self.varint(at)
            elif kind in (_FIXED32, _FIXED64):
                at += 4 if kind == _FIXED32 else 8
            elif kind == _BYTES:
                size, at = self.varint(at)
                if at + size > end:
                    raise self.broken()
                yield tag >> 3, at, at + size
                at += size
            else:
                raise self.broken()
        if at != end:
            raise self.broken()

    def broken(self) -> ProblemError:
        return unusable(self._path, f"{self._path} is not a whole ONNX model")


def _external_names(file: BinaryIO, size: int, path: Path) -> Iterator[str]:
    window = _Window(file, path)
    if not size:
        raise window.broken()
    left = FILES_LIMIT * 1000
    waiting = [("model", 0, size, 0)]
    while waiting:
        kind, begin, end, depth = waiting.pop()
        below = _BELOW[kind]
        for field, start, stop in window.fields(begin, end):
            inner = below.get(field)
            left -= 1
            if depth > DEPTH_LIMIT or left < 0:
                raise window.broken()
            if inner == "entry":
                if name := _location(window, start, stop):
                    yield name
            elif inner is not None:
                waiting.append((inner, start, stop, depth + 1))


def _location(window: _Window, begin: int, end: int) -> str | None:
    """The value of a StringStringEntryProto whose key is "location"."""
    texts: dict[int, str] = {}
    for field, start, stop in window.fields(begin, end):
        if stop - start > NAME_LIMIT_BYTES:
            raise window.broken()
        texts[field] = window.bytes(start, stop - start).decode("utf-8", "surrogateescape")
    return texts.get(2) if texts.get(1) == "location" else None
