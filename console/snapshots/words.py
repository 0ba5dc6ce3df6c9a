"""Differences between snapshots as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from console.snapshots.comparing import Change, Part, grouped

TITLES: dict[Part, str] = {
    "driver": "driver and GPUs",
    "runtime": "container runtime",
    "machine": "machine and agent",
    "workloads": "workloads",
    "images": "images",
    "engines": "engines",
    "models": "models",
    "releases": "release files",
    "secrets": "secrets",
    "configuration": "agent.yaml",
}
SIGNS = {"added": "+", "removed": "-", "changed": "~"}


class DiffLine(NamedTuple):
    """A line of a tree; `depth` 0 is a part, 1 a thing in it, 2 what of that changed."""

    depth: int
    text: str
    part: Part


def diff_lines(changes: Sequence[Change]) -> Iterator[DiffLine]:
    """The tree, from its top."""
    for part, some in grouped(changes, lambda change: change.part).items():
        yield DiffLine(0, f"{TITLES[part]} ({len(some)})", part)
        for change in some:
            yield DiffLine(1, f"{SIGNS[change.kind]} {change.name}{_values(change)}", part)
            for word in change.words:
                yield DiffLine(2, word, part)


def _values(change: Change) -> str:
    if change.kind == "changed":
        return f": {change.before} becomes {change.after}" if change.before else ""
    value = change.before or change.after
    return f": {value}" if value else ""
