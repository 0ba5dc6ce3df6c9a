"""A finding as a row of the doctor's table, and in full."""

from __future__ import annotations

import time

from agent.protocol.findings import SEVERITIES, Finding
from agent.protocol.problems import Problem
from console.fleet.picture import NodeView
from console.tui.look import words
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.fleet import SEVERITY_TONES, STATE_TONES, age_cell

COLUMNS = (
    Column("severity", "SEVERITY", (9, 9, 9, 9)),
    Column("node", "NODE", (13, 16, 20, 24), grow=8),
    Column("title", "FINDING", (22, 31, 44, 60), grow=40),
    Column("subject", "ABOUT", (0, 8, 20, 30), grow=20),
    Column("since", "FOR", (3, 3, 3, 4)),
    Column("age", "AGE", (3, 3, 3, 4), largest_first=True),
    Column("code", "CODE", (0, 0, 0, 28)),
)

# A node that cannot be reached comes after what is critical, and before all else.
_LINK_RANK = 0.5 - SEVERITIES.index("critical")

NODE_COLUMNS = (
    Column("severity", "SEVERITY", (9, 9, 9, 9)),
    Column("title", "FINDING", (30, 44, 56, 70), grow=60),
    Column("subject", "ABOUT", (8, 14, 24, 40), grow=20),
    Column("since", "FOR", (3, 3, 3, 4)),
)


def finding_rows(view: NodeView) -> list[Row]:
    """For the table across the fleet; a row's key is "node/finding's key".

    A node that cannot be reached has a row of its own before them.
    """
    dim, name = view.state != "live", view.name
    return [*_link_rows(view), *_finding_rows(view, dim=dim, name=name)]


def problem_of_row(view: NodeView, row: Row) -> Problem | None:
    """Why the node cannot be reached, if that is what the row is about and it is still so."""
    return view.problem if row.key == _link_key(view) and view.state != "live" else None


def _link_key(view: NodeView) -> str:
    return f"{view.name}/"


def _link_rows(view: NodeView) -> list[Row]:
    problem = view.problem
    if problem is None or view.state == "live":
        return []
    seen = view.seen_at
    cells = (
        Cell(view.state, STATE_TONES[view.state], sort=_LINK_RANK),
        Cell(view.name, sort=view.name, tag="PROD" if view.entry.production else ""),
        Cell(problem.detail.removeprefix(f"{view.name}: "), sort=problem.title),
        Cell("node", "dim"),
        Cell(words.age(view.age_seconds()), sort=None if seen is None else -seen),
        age_cell(view),
        Cell(problem.code, "dim"),
    )
    return [make_row(_link_key(view), view.name, cells, more=problem.title)]


def _finding_rows(view: NodeView, *, dim: bool, name: str) -> list[Row]:
    return [
        make_row(
            f"{name}/{finding.key}",
            name,
            (
                _severity(finding),
                Cell(name, sort=name, tag="PROD" if view.entry.production else ""),
                Cell(finding.title, sort=finding.title),
                Cell(about(finding, view), "dim"),
                _since(finding),
                age_cell(view),
                Cell(finding.code, "dim"),
            ),
            dim=dim,
            loud=0,
            more=finding.subject,
        )
        for finding in view.findings()
    ]


def node_finding_rows(view: NodeView) -> list[Row]:
    """For the node's own screen; the same keys."""
    return [
        make_row(
            f"{view.name}/{finding.key}",
            view.name,
            (
                _severity(finding),
                Cell(finding.title, sort=finding.title),
                Cell(about(finding, view), "dim"),
                _since(finding),
            ),
            dim=view.state != "live",
            loud=0,
        )
        for finding in view.findings()
    ]


def finding_of(view: NodeView, row_key: str) -> Finding | None:
    """The finding of a row's key, if it is still there."""
    key = row_key.removeprefix(f"{view.name}/")
    return next((f for f in view.findings() if f.key == key), None)


def about(finding: Finding, view: NodeView) -> str:
    """The subject as people name it: a GPU by its index, a container by its name."""
    kind, _, rest = finding.subject.partition("/")
    if kind == "gpu":
        record = view.sections.get("gpus", {}).get(rest, {})
        return f"GPU {record['index']}" if "index" in record else f"GPU {rest[:12]}"
    if kind == "container":
        record = view.sections.get("containers", {}).get(rest, {})
        return str(record.get("name") or rest[:12])
    return rest or finding.subject


def _severity(finding: Finding) -> Cell:
    rank = SEVERITIES.index(finding.severity)
    return Cell(finding.severity, SEVERITY_TONES[finding.severity], sort=-rank)


def _since(finding: Finding) -> Cell:
    if finding.since is None:
        return Cell(words.UNKNOWN)
    return Cell(words.age(max(0.0, time.time() - finding.since)), sort=-finding.since)
