"""Long lists of numbers in JSON, in parts: within one, no other thread of Python runs."""

from __future__ import annotations

import json
import math
import re
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


def loads(words: bytes) -> Any:
    """As json.loads; `inputs[0].data` of a V2 request is an array where it is long and flat.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deep.
    """
    found = _DATA.search(words) if len(words) > PART_BYTES else None
    if found is None:
        return json.loads(words)
    start, end = found.end(), words.find(b"]", found.end())
    if end < 0 or any(words.find(mark, start, end) >= 0 for mark in (b"[", b"{", b'"')):
        return json.loads(words)
    asked = json.loads(words[: start - 1] + json.dumps(_CUT_OUT).encode() + words[end + 1 :])
    inputs = asked.get("inputs") if isinstance(asked, dict) else None
    first = inputs[0] if isinstance(inputs, list) and inputs else None
    if not isinstance(first, dict) or first.get("data") != _CUT_OUT:
        return json.loads(words)  # that was something else's
    first["data"] = _numbers(words, start, end)
    return asked


def _numbers(words: bytes, start: int, end: int) -> Floats | list[Any]:
    """What lies between, in commas. A list: it is not all numbers."""
    parts: list[Floats] = []
    while start <= end:
        comma = words.find(b",", min(start + PART_BYTES, end), end)
        stop = end if comma < 0 else comma
        values: list[Any] = json.loads(b"[" + words[start:stop] + b"]")
        if not values:
            raise ValueError("a number is missing")
        try:
            parts.append(np.array(values, np.float32))
        except (ValueError, TypeError, OverflowError):
            return values
        start = stop + 1
    return np.concatenate(parts)


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
