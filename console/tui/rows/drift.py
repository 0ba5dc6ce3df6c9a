"""An expected fact that a node has not as a row."""

from __future__ import annotations

from collections.abc import Sequence

from console.fleet.drift import Drift, drift_of
from console.fleet.expectations import Expectation
from console.fleet.picture import NodeView
from console.tui.look import words
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.fleet import age_cell

COLUMNS = (
    Column("state", "STATE", (7, 7, 7, 7)),
    Column("node", "NODE", (13, 16, 20, 24), grow=8),
    Column("fact", "FACT", (9, 12, 12, 14)),
    Column("has", "HAS", (12, 15, 24, 40), grow=20),
    Column("expected", "EXPECTED", (10, 14, 24, 40), grow=20),
    Column("said", "SAID BY", (0, 0, 14, 24), grow=20),
    Column("age", "AGE", (3, 3, 3, 4), largest_first=True),
)
_TONES = {"off": "warn", "unknown": "dim"}


def drifts(view: NodeView, expected: Sequence[Expectation]) -> list[Drift]:
    """What the node has not as expected; nothing while it has never said what it is."""
    facts = view.facts() if expected else None
    if facts is None:
        return []
    return [each for each in drift_of(expected, facts) if each.state != "as_expected"]


def drift_rows(view: NodeView, expected: Sequence[Expectation]) -> list[Row]:
    """A row's key is "node/fact"."""
    return [
        make_row(
            f"{view.name}/{each.fact}",
            view.name,
            (
                Cell(each.state, _TONES[each.state], sort=each.state),
                Cell(view.name, sort=view.name, tag="PROD" if view.entry.production else ""),
                Cell(each.fact, sort=each.fact),
                Cell(
                    each.has or words.UNKNOWN, wide=each.has or f"{words.UNKNOWN} ({each.reason})"
                ),
                Cell(each.expected),
                Cell(each.said_by or "every node", "dim"),
                age_cell(view),
            ),
            dim=view.state != "live",
            loud=0,
            more=each.reason or "",
        )
        for each in drifts(view, expected)
    ]
