"""Long lists of numbers in JSON, in parts: within one, no other thread of Python runs.

As Python's own numbers a list is ten times as large as its text, and of 32 MiB it is seconds'
work. So what is long is read part by part into an array; JSON that is long otherwise is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .backend import Floats

# Of JSON, some 10 ms of a slow core.
PART_BYTES = 256 * 1024
# As many numbers as a part has, about.
PART_NUMBERS = 16 * 1024
# A key, for a quote within a string has a backslash before it.
_DATA = re.compile(rb'(?<!\\)"data"\s*:\s*\[')
_CUT_OUT = "\N{SYMBOL FOR SUBSTITUTE} data"
_SPACE = b" \t\n\r"
# What is a bracket, what a comma, and what else.
_KINDS = bytes(each if each in b"[]," else ord("0") for each in range(256))
# A number beside the wrong side of a bracket, and a comma that is missing.
_MISPLACED = (b"0[", b"]0", b"][")


class TooLongError(Exception):
    """It is longer than what is read at once, and that is no list of numbers."""


class Numbers:
    """The text of `data`, a list of numbers or of such lists, that is not read yet."""

    def __init__(self, words: bytes, start: int, stop: int) -> None:
        """It lies in `words` from `start` to `stop`, without its own brackets."""
        self._words, self._start, self._stop = words, start, stop

    @property
    def count(self) -> int:
        """How many there are, if they are what they should be."""
        return self._words.count(b",", self._start, self._stop) + 1

    def read(self, sizes: Sequence[int]) -> Floats:
        """All of them, one behind the other.

        Args:
            sizes: of the tensor, with `count` values. Lists in the list are as these say.

        Raises:
            ValueError, TypeError, OverflowError: they are not all numbers, or otherwise nested.
        """
        made = np.empty(self.count, np.float32)
        came = 0
        nesting: list[bytes] = []
        for part in self._parts():
            kinds = part.translate(_KINDS, _SPACE)
            if any(each in kinds for each in _MISPLACED):
                raise ValueError("a comma is missing")
            nesting.append(kinds.translate(None, b"0"))
            values: list[Any] = json.loads(b"[" + part.translate(None, b"[]") + b"]")
            if not values:
                raise ValueError("a number is missing")
            made[came : came + len(values)] = np.array(values, np.float32)
            came += len(values)
        nested = b"[" + b",".join(nesting) + b"]"
        flat = nested.count(b"[") == nested.count(b"]") == 1
        if not flat and nested != _nesting(sizes):
            raise ValueError("its lists are not as its shape says")
        return made

    def _parts(self) -> Iterator[bytes]:
        start = self._start
        while start <= self._stop:
            comma = self._words.find(b",", min(start + PART_BYTES, self._stop), self._stop)
            stop = self._stop if comma < 0 else comma
            yield self._words[start:stop]
            start = stop + 1


def loads(words: bytes) -> Any:
    """As json.loads; `inputs[0].data` of a V2 request is `Numbers` where all of it is long.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deep.
        TooLongError
    """
    if len(words) <= PART_BYTES:
        return json.loads(words)
    found = _DATA.search(words)
    if found is None:
        raise TooLongError
    start = found.end()
    # In a list of numbers is none of these, and behind it comes one.
    marks = (words.find(mark, start) for mark in (b'"', b"{", b"}"))
    behind = min((at for at in marks if at >= 0), default=len(words))
    stop = words.rfind(b"]", start, behind)
    if stop < 0:
        raise TooLongError
    rest = words[: start - 1] + json.dumps(_CUT_OUT).encode() + words[stop + 1 :]
    if len(rest) > PART_BYTES:
        raise TooLongError
    asked = json.loads(rest)
    inputs = asked.get("inputs") if isinstance(asked, dict) else None
    first = inputs[0] if isinstance(inputs, list) and inputs else None
    if not isinstance(first, dict) or first.get("data") != _CUT_OUT:
        raise TooLongError  # that was something else's
    first["data"] = Numbers(words, start, stop)
    return asked


def _nesting(sizes: Sequence[int]) -> bytes:
    """The brackets and commas of a tensor's nested lists."""
    made = b""
    for size in reversed(sizes):
        made = b"[" + b",".join([made] * size) + b"]"
    return made


def dumps(values: Floats) -> str:
    """All of them as a JSON list; JSON has no NaN and no infinity: null."""
    flat = values.ravel()
    parts = (
        flat[start : start + PART_NUMBERS].tolist() for start in range(0, flat.size, PART_NUMBERS)
    )
    said = (
        json.dumps([each if math.isfinite(each) else None for each in part])[1:-1] for part in parts
    )
    return f"[{', '.join(said)}]"
