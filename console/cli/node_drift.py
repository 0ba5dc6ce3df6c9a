"""`roost node drift`: which nodes are not as fleet.yaml expects them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from agent.protocol.node import NodeFacts
from agent.protocol.problems import Problem
from console.cli.failures import FAILED
from console.cli.nodes import fleet_file, selected_nodes
from console.cli.options import json_option, selector_argument
from console.cli.output import print_json, say
from console.cli.run import Answer, ask_nodes, conclude
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Column, Row, print_table
from console.fleet.drift import Drift, drift_of, expected_of
from console.fleet.expectations import Expectation, expectations
from console.fleet.fleet_file import load_inventory
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.snapshots.snapshot_file import read_snapshot
from console.text import plural

_COLUMNS = (
    NODE,
    Column("FACT"),
    Column("STATE"),
    Column("EXPECTED", least=12),
    Column("HAS", least=12),
    Column("SAID BY", keep=5, least=8),
)


class DriftRecord(msgspec.Struct, kw_only=True):
    """A node as `--json` prints it: every expected fact, or why it could not be asked."""

    node: str
    production: bool
    drift: list[Drift] = []
    problem: Problem | None = None


@click.command("drift")
@selector_argument
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="SNAPSHOT",
    help="Instead of fleet.yaml: facts as they were when this snapshot was taken.",
)
@click.option("--all", "everything", is_flag=True, help="Also what is as expected.")
@json_option
@click.pass_obj
def command(
    setup: Setup, selector: str | None, *, against: Path | None, everything: bool, as_json: bool
) -> int:
    """Say which facts of nodes are not as `expect` in fleet.yaml says.

    Exits with 1 if a fact is off, or could not be told.
    """
    nodes = selected_nodes(setup, selector)
    expected = _expected(setup, nodes, against)
    asked = [node for node in nodes if expected[node.name]]
    answers = ask_nodes(setup, asked, _facts)
    records = [_record(answer, expected[answer.entry.name]) for answer in answers]
    if as_json:
        print_json(records)
    elif asked:
        _print(records, everything=everything)
    _say_unasked(len(nodes) - len(asked), len(nodes))
    code = conclude(answers)
    drifted = any(each.state != "as_expected" for record in records for each in record.drift)
    return FAILED if drifted else code


def _expected(
    setup: Setup, nodes: Sequence[NodeEntry], against: Path | None
) -> dict[str, list[Expectation]]:
    if against is None:
        inventory = load_inventory(fleet_file(setup))
        return {node.name: expectations(inventory, node) for node in nodes}
    was = expected_of(read_snapshot(against).snapshot.facts, against.name)
    return {node.name: was for node in nodes}


async def _facts(_entry: NodeEntry, client: NodeClient) -> NodeFacts:
    return await client.node()


def _record(answer: Answer[NodeFacts], expected: Sequence[Expectation]) -> DriftRecord:
    return DriftRecord(
        node=answer.entry.name,
        production=answer.entry.production,
        drift=[] if answer.value is None else drift_of(expected, answer.value),
        problem=answer.problem.problem() if answer.problem else None,
    )


def _print(records: Sequence[DriftRecord], *, everything: bool) -> None:
    rows = [
        _row(record.node, each)
        for record in records
        for each in record.drift
        if everything or each.state != "as_expected"
    ]
    if rows:
        print_table(_COLUMNS, rows)
    looked = [record for record in records if record.problem is None]
    if looked:
        all_of_it = [each for record in looked for each in record.drift]
        off = sum(each.state == "off" for each in all_of_it)
        unknown = sum(each.state == "unknown" for each in all_of_it)
        say(
            f"{plural(len(all_of_it), 'fact')} of {plural(len(looked), 'node')}: {off} off,"
            f" {unknown} could not be told"
        )


def _row(node: str, drift: Drift) -> Row:
    has = drift.has if drift.has is not None else f"{UNKNOWN} ({drift.reason})"
    if drift.has is not None and drift.state == "unknown":
        has = f"{drift.has} ({drift.reason})"
    said_by = drift.said_by or "every node"
    return (node, drift.fact, drift.state.replace("_", " "), drift.expected, has, said_by)


def _say_unasked(unasked: int, nodes: int) -> None:
    if unasked == nodes:
        say(
            "fleet.yaml expects nothing of these nodes; it could say, for one:"
            ' expect: {"": {driver: ">=535", persistence: true}}'
        )
    elif unasked:
        say(f"of {plural(unasked, 'node')} nothing is expected")
