"""Which driver each node would need, as rows."""

from __future__ import annotations

from collections import Counter

from agent.protocol.compatibility import ABILITIES
from agent.rules.upgrades import Upgrade
from agent.rules.versions import numbers
from console.fleet.picture import NodeView
from console.images.runs_words import WORDS, branch_words, then_words
from console.tui.look import words
from console.tui.rows.cells import Cell, Column, Row, make_row
from console.tui.rows.fleet import age_cell

COLUMNS = (
    Column("node", "NODE", (12, 16, 20, 24), grow=10),
    Column("driver", "DRIVER", (10, 10, 11, 12)),
    Column("needs", "NEEDS", (10, 10, 11, 12)),
    Column("branch", "BRANCH", (0, 6, 19, 19)),
    Column("age", "AGE", (0, 3, 3, 4), largest_first=True),
    Column("then", "THEN", (8, 22, 36, 80), grow=80),
)


def driver_row(view: NodeView, plan: Upgrade | None, *, working: bool) -> Row:
    """One node; its key is its name. `plan` None: nothing is known, or it is being worked out."""
    cells = (
        Cell(view.name, sort=view.name, tag="PROD" if view.entry.production else ""),
        _version(plan.driver_now if plan is not None else None),
        _needs(plan, working=working and bool(view.sections.get("facts"))),
        _branch(plan),
        age_cell(view),
        Cell(_counts(plan), "dim", wide=then_words(plan)) if plan else Cell(""),
    )
    return make_row(view.name, view.name, cells, dim=view.state != "live", loud=2)


def _needs(plan: Upgrade | None, *, working: bool) -> Cell:
    """The least driver that helps; what needs none comes last when it is sorted."""
    if plan is None:
        return Cell("..." if working else "unknown", "dim" if working else "warn", sort=0)
    if plan.driver is not None:
        return _version(plan.driver, "warn")
    if plan.not_mended:
        return Cell("none helps", "bad", sort=10**9)
    return Cell("none", "good")


def _counts(plan: Upgrade) -> str:
    """How many images fare how with that driver: names are too long for a narrow column."""
    after = Counter(plan.after.values())
    never = len(plan.not_mended.keys() - plan.after.keys())
    parts = [f"{after[ability]} {WORDS[ability]}" for ability in ABILITIES if after[ability]]
    return ", ".join([*parts, *([f"{never} not mended"] if never else [])])


def _branch(plan: Upgrade | None) -> Cell:
    if plan is None or plan.branch is None:
        return Cell("")
    return Cell(f"R{plan.branch}", sort=plan.branch, wide=branch_words(plan))


def _version(text: str | None, tone: str = "") -> Cell:
    if text is None:
        return Cell(words.UNKNOWN, "dim")
    parts = (*(numbers(text) or ()), 0, 0, 0)[:3]
    return Cell(text, tone, sort=float((parts[0] * 1000 + parts[1]) * 1000 + parts[2]))
