"""Which driver nodes would need for images, as a table."""

from __future__ import annotations

import time
from collections.abc import Mapping

from agent.protocol.node import NodeFacts
from agent.rules.compatibility import Judge
from agent.rules.tables import Tables
from agent.rules.upgrades import Upgrade, upgrade_plan
from console.cli.runs_text import WORDS, Verdicts
from console.cli.table import NODE, UNKNOWN, Column, Row

COLUMNS = (
    NODE,
    Column("DRIVER NOW"),
    Column("NEEDS"),
    Column("BRANCH", keep=6),
    Column("THEN", least=16),
)


def rows(verdicts: Verdicts, facts: Mapping[str, NodeFacts], tables: Tables) -> list[Row]:
    """A row for each node that is known: the least driver that makes more of the images run."""
    month = time.strftime("%Y-%m", time.gmtime())
    found: list[Row] = []
    for node, several in verdicts.items():
        judges = {each.image: Judge(each.needs, tables) for each in several}
        [plan] = upgrade_plan(judges, [facts[node]], tables, month=month)
        found.append(_row(node, plan))
    return found


def _row(node: str, plan: Upgrade) -> Row:
    return (
        node,
        plan.driver_now or UNKNOWN,
        plan.driver or "none",
        "" if plan.branch is None else _branch(plan),
        _then(plan),
    )


def _branch(plan: Upgrade) -> str:
    end = f", until {plan.branch_end}" if plan.branch_end else ""
    return f"R{plan.branch}{end}"


def _then(plan: Upgrade) -> str:
    """What becomes of the images with that driver, and what no driver mends."""
    after = [f"{image} {WORDS[ability]}" for image, ability in plan.after.items()]
    never = [f"{image}: {why}" for image, why in plan.not_mended.items()]
    return "; ".join([*after, *never])
