"""`roost workload ls`: what nodes run by Roost's hand."""

from __future__ import annotations

import click
import msgspec

from agent.protocol.deployments import WorkloadStatus
from agent.protocol.problems import Problem
from console.cli.options import json_option, selector_argument
from console.cli.output import print_json
from console.cli.run import Answer, ask_each, conclude
from console.cli.setup import Setup
from console.cli.table import NODE, Cell, Column, Row, print_table

_COLUMNS = (
    NODE,
    Column("WORKLOAD", least=12),
    Column("STATE", least=7),
    Column("GPUS", keep=7, least=12),
    Column("DEPLOYMENT", keep=6),
    Column("RELEASE", keep=5, least=8),
    Column("UNDO", keep=4),
    Column("DIFFERS", keep=8, least=12),
)
UUID_CELLS = 12


class WorkloadRecord(msgspec.Struct, kw_only=True):
    """A workload as `--json` prints it; None where the node did not answer."""

    node: str
    production: bool
    workload: WorkloadStatus | None = None
    problem: Problem | None = None


@click.command("ls")
@selector_argument
@json_option
@click.pass_obj
def command(setup: Setup, selector: str | None, *, as_json: bool) -> int:
    """List the workloads that Roost placed on nodes, and how their newest deployment is."""
    answers = ask_each(setup, selector, lambda _, client: client.workloads.list())
    records = [record for answer in answers for record in _records(answer)]
    if as_json:
        print_json(records)
    else:
        print_table(_COLUMNS, [_row(each) for each in records if each.workload is not None])
    return conclude(answers)


def _records(answer: Answer[list[WorkloadStatus]]) -> list[WorkloadRecord]:
    base = WorkloadRecord(node=answer.entry.name, production=answer.entry.production)
    if answer.problem is not None:
        return [msgspec.structs.replace(base, problem=answer.problem.problem())]
    return [msgspec.structs.replace(base, workload=each) for each in answer.value or []]


def _row(record: WorkloadRecord) -> Row:
    workload = record.workload
    if workload is None:
        return (record.node, "", "", "", "", "", "", "")
    return (
        record.node,
        workload.name,
        workload.state,
        _gpus(workload.gpus),
        workload.deployment_state or "",
        workload.release,
        "kept" if workload.can_undo else "",
        "; ".join(workload.drift),
    )


def _gpus(uuids: list[str]) -> Cell:
    return Cell(", ".join(uuids), ", ".join(uuid[:UUID_CELLS] for uuid in uuids))
