"""Snapshots as rows, and what changed since one of them as a tree."""

from __future__ import annotations

import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from console.snapshots.comparing import Difference, Part, grouped
from console.snapshots.words import TITLES, diff_lines
from console.text import plural
from console.tui.look import words
from console.tui.look.glyphs import Glyphs
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.snapshots import Listed

COLUMNS = (
    Column("file", "FILE", (20, 26, 36, 50), grow=30),
    Column("of", "NODE", (10, 12, 18, 24)),
    Column("taken", "TAKEN", (5, 6, 6, 6), largest_first=True),
    Column("driver", "DRIVER", (0, 11, 12, 14)),
    Column("workloads", "RUNS", (0, 4, 5, 5), "right"),
    Column("carries", "CARRIES", (0, 0, 12, 16)),
    Column("bytes", "SIZE", (7, 7, 8, 9), "right", largest_first=True),
)
CHANGE_COLUMNS = (Column("change", "WHAT CHANGED", (58, 78, 118, 198), grow=400),)
_LOUD: frozenset[Part] = frozenset({"driver", "runtime"})
_TONES = {"+": "good", "-": "bad", "~": "warn"}


def snapshot_rows(listed: Sequence[Listed]) -> list[Row]:
    """One for each file; one that cannot be read says why."""
    return [_row(each) for each in listed]


def _row(listed: Listed) -> Row:
    name, snapshot = listed.path.name, listed.snapshot
    weight = Cell(words.size(listed.size_bytes), sort=listed.size_bytes)
    if snapshot is None:
        why = listed.problem.title if listed.problem else "not read"
        cells = (
            Cell(name, sort=name),
            Cell("-", sort=None),
            Cell(words.age(max(0.0, time.time() - listed.modified_at)), sort=listed.modified_at),
            Cell(why, "bad"),
            Cell(""),
            Cell(""),
            weight,
        )
        return make_row(str(listed.path), "", cells)
    carried = plural(listed.images, "image") if listed.images else ""
    cells = (
        Cell(name, "accent", sort=name),
        Cell(snapshot.node, sort=snapshot.node),
        Cell(words.age(max(0.0, time.time() - snapshot.taken_at)), sort=snapshot.taken_at),
        Cell(snapshot.facts.gpu_stack.driver_version or "-"),
        Cell(str(len(snapshot.workloads)), sort=len(snapshot.workloads)),
        Cell(carried, "dim"),
        weight,
    )
    return make_row(str(listed.path), "", cells)


def change_rows(found: Difference, folded: AbstractSet[str], glyphs: Glyphs) -> list[Row]:
    """The tree: a part, what of it changed, and how. Those of a folded part are left out.

    What is not known stands below.
    """
    del glyphs
    rows, changes = [], found.changes
    counts = {part: len(some) for part, some in grouped(changes, lambda each: each.part).items()}
    for number, line in enumerate(diff_lines(changes)):
        if line.depth == 0:
            sign = "+" if line.part in folded else "-"
            text = f"[{sign}] {TITLES[line.part]} ({counts[line.part]})"
            tone = "bad" if line.part in _LOUD else "accent"
            rows.append(make_row(line.part, "", (Cell(text, tone),)))
        elif line.part not in folded:
            tone = _TONES.get(line.text[:1], "") if line.depth == 1 else "dim"
            text = "  " * (line.depth + 1) + line.text
            rows.append(make_row(f"{line.part}/{number}", "", (Cell(text, tone),)))
    for key in found.unchanged:
        text = f"unchanged, value withheld: {key} of agent.yaml"
        rows.append(make_row(f"unchanged/{key}", "", (Cell(text, "dim"),)))
    if found.unknown and not changes:
        rows.append(make_row("unknown", "", (Cell("nothing of what is known differs"),)))
    for what, why in found.unknown.items():
        rows.append(make_row(f"unknown/{what}", "", (Cell(f"not known: {what}: {why}", "dim"),)))
    return rows
