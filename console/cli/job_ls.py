"""`roost job ls`: one line per job."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Sequence
from typing import get_args

import click

from agent.protocol.jobs import Job, JobState
from agent.protocol.node import NodeFacts
from console.cli.job_record import JobRecord, record_of
from console.cli.job_words import progress
from console.cli.node_record import state_after
from console.cli.node_words import marks
from console.cli.options import json_option, selector_argument
from console.cli.output import NO_LIMIT, print_json, width
from console.cli.run import Answer, ask_each, conclude
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Cell, Column, Row, cells, fit, print_table
from console.fleet.inventory import NodeEntry
from console.fleet.job_words import doing, short_progress, since, state, waits_until, why
from console.link.client import NodeClient
from console.text import age, clean

COLUMNS = (
    NODE,
    Column("MARK"),
    Column("JOB"),
    Column("KIND", keep=4),
    Column("SUBJECT", keep=8, least=12),
    Column("STATE", least=11),
    Column("DONE", keep=7),
    Column("BY", keep=8, least=8),
    Column("SINCE", keep=6, right=True),
    Column("WAITS", keep=7, right=True),
    Column("WHY", keep=5, least=16),
)
# The start of an id names a job, too.
_SHORT_ID = 8
Asked = tuple[NodeFacts, list[Job]]


@click.command("ls")
@selector_argument
@click.option("--state", "in_state", type=click.Choice(get_args(JobState)), help="Only those.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="The newest so many of each node.",
)
@json_option
@click.pass_obj
def command(
    setup: Setup, selector: str | None, in_state: JobState | None, limit: int, *, as_json: bool
) -> int:
    """List jobs, the newest first.

    SINCE is how long a job is in its state. WAITS is how long it will still wait for somebody to
    send it the rest, and keep its space.
    """

    async def ask(_: NodeEntry, client: NodeClient) -> Asked:
        return await client.node(), await client.jobs(state=in_state, limit=limit)

    answers = ask_each(setup, selector, ask)
    if as_json:
        print_json([record for answer in answers for record in _records(answer)])
    else:
        found = [row for answer in answers for row in rows(answer)]
        for line in lines(found, width()):
            click.echo(line)
        if not found:
            print_table(COLUMNS, found)
    return conclude(answers)


def _records(answer: Answer[Asked]) -> list[JobRecord]:
    entry = answer.entry
    if answer.problem is not None:
        problem = answer.problem.problem()
        return [JobRecord(node=entry.name, production=entry.production, problem=problem)]
    return [record_of(entry, job) for job in answer.value[1]] if answer.value else []


def lines(found: Sequence[Row], limit: int) -> list[str]:
    """The table; where its sentences are too long for it, they are folded under it."""
    if not found:
        return []
    whole = fit(COLUMNS, found, NO_LIMIT)
    if max(map(cells, whole)) <= limit:
        return whole
    table = fit(COLUMNS[:-1], [row[:-1] for row in found], limit)
    for row in found:
        node, job, reason = (_shown(row[at]) for at in (0, 2, -1))
        if reason:
            table += textwrap.wrap(
                f"{node} {job}: {reason}",
                limit,
                subsequent_indent="  ",
                break_on_hyphens=False,
            )
    return table


def _shown(cell: str | Cell) -> str:
    return clean(cell.short if isinstance(cell, Cell) else cell)


def rows(answer: Answer[Asked]) -> list[Row]:
    entry = answer.entry
    if answer.problem is not None:
        word = state_after(answer.problem.code)
        blank = [""] * 5
        return [(entry.name, marks(entry, None), UNKNOWN, "", "", word, *blank)]
    if answer.value is None:
        return []
    facts, jobs = answer.value
    # Ages go by the node's own clock.
    now = time.time() if facts.now is None else facts.now
    mark = marks(entry, facts)
    return [
        (
            entry.name,
            mark,
            Cell(job.id, job.id[:_SHORT_ID]),
            job.kind,
            job.subject,
            Cell(state(job), doing(job)),
            Cell(progress(job), short_progress(job) or UNKNOWN),
            job.owner,
            age(now - since(job)),
            _left(waits_until(job), now),
            why(job),
        )
        for job in jobs
    ]


def _left(until: float | None, now: float) -> str:
    return "" if until is None else age(max(0.0, until - now))
