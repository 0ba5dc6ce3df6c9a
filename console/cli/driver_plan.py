"""Which driver nodes would need for images, as a table."""

from __future__ import annotations

import time
from collections.abc import Mapping

from agent.protocol.node import NodeFacts
from agent.rules.compatibility import Judge
from agent.rules.tables import Tables
from agent.rules.upgrades import Upgrade, upgrade_plan
from console.cli.runs_text import Verdicts
from console.cli.table import NODE, UNKNOWN, Column, Row
from console.images.runs_words import branch_words, then_words

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
        branch_words(plan),
        then_words(plan),
    )
