"""Chance that can be repeated, for what is simulated."""

from __future__ import annotations

from random import Random


def repeatable(seed: str) -> Random:
    """The same draws for the same seed, in every process. Never for secrets."""
    return Random(seed)  # noqa: S311 - it is meant to be foreseen
