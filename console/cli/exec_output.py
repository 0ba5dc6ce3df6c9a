"""A command's output on its way to standard output and standard error."""

from __future__ import annotations

import codecs
import sys
from typing import BinaryIO, Literal

from agent.protocol.containers import ExecOutput
from console.text import clean_output


class OutputWriter:
    """Takes the pieces as they come.

    A command that was given the terminal has it to itself: its bytes go through. Without one,
    bytes go through to files and pipes, and what a terminal shows is cleaned.
    """

    def __init__(self, *, raw: bool) -> None:
        self._streams: dict[Literal["stdout", "stderr"], _Stream] = {
            "stdout": _Stream(sys.stdout.buffer, clean=not raw and sys.stdout.isatty()),
            "stderr": _Stream(sys.stderr.buffer, clean=not raw and sys.stderr.isatty()),
        }

    def write(self, piece: ExecOutput) -> None:
        self._streams[piece.stream].write(piece.data)

    def finish(self) -> None:
        """Write what is left of a character that was cut."""
        for stream in self._streams.values():
            stream.write(b"", last=True)


class _Stream:
    def __init__(self, file: BinaryIO, *, clean: bool) -> None:
        self._file = file
        self._clean = clean
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, data: bytes, *, last: bool = False) -> None:
        if self._clean:
            text = self._decoder.decode(data, last)
            data = "\n".join(map(clean_output, text.split("\n"))).encode("utf-8", "replace")
        self._file.write(data)
        self._file.flush()
