"""Versions of CUDA, drivers and TensorRT as numbers: "535.104.05" is (535, 104, 5)."""

from __future__ import annotations

import re
from functools import lru_cache

Version = tuple[int, ...]

# 18 digits: beyond that it is no version of anything, and Python reads it slowly.
_VERSION = re.compile(r"v?(\d{1,18}(?:\.\d{1,18}){0,7})(?![\d.])", re.ASCII)


@lru_cache(maxsize=4096)
def numbers(text: str | None) -> Version | None:
    """The dotted numbers at the beginning; None where there are none.

    What follows them is left out: "8.6.1.6+cuda12.0.1.011" is (8, 6, 1, 6).
    """
    found = _VERSION.match(text) if text else None
    return None if found is None else tuple(map(int, found[1].split(".")))


def within(version: Version, family: Version) -> bool:
    """Whether it is one of the family: 12.4.1 is of 12.4, and of 12; 12 counts as 12.0."""
    padded = version + (0,) * (len(family) - len(version))
    return padded[: len(family)] == family


def minor(version: Version) -> Version:
    """Major and minor: those of 12 are 12.0."""
    return (*version, 0)[:2]


def dotted(version: Version) -> str:
    return ".".join(map(str, version))
