"""`roost node ls`: one line per node."""

from __future__ import annotations

import click

from console.cli.look import look_at
from console.cli.node_record import NodeRecord, record_of
from console.cli.node_words import container_count, driver, findings, gpu_words, load, marks
from console.cli.options import json_option, selector_argument
from console.cli.output import NO_LIMIT, print_json
from console.cli.run import ask_each, conclude
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Column, Row, print_table

_COLUMNS = (
    NODE,
    Column("MARK"),
    Column("STATE"),
    Column("DRIVER", keep=5),
    Column("CUDA", keep=6),
    Column("GPUS", keep=8, least=9),
    Column("UTIL", keep=7, right=True),
    Column("MEM", keep=4, right=True),
    Column("TEMP", keep=3, right=True),
    Column("CTRS", keep=2, right=True),
    Column("FIND", keep=8),
)
_WIDE = (
    Column("RUNTIME", keep=1),
    Column("OS", keep=1),
    Column("AGENT", keep=1),
    Column("CPU", keep=1, right=True),
    Column("DISK FREE", keep=1, right=True),
    Column("LABELS", keep=1, least=10),
    Column("ADDRESS", keep=1, least=10),
)


@click.command("ls")
@selector_argument
@click.option("--wide", "-w", is_flag=True, help="All columns, however long the lines.")
@json_option
@click.pass_obj
def command(setup: Setup, selector: str | None, *, wide: bool, as_json: bool) -> int:
    """List nodes, with what their GPUs do now.

    UTIL is the mean of the node's GPUs, MEM of them all, TEMP of the hottest. MARK says what is
    in production and what is simulated. SELECTOR is like `site=plant-7,gpu in (t4,a10),!retired`
    or `@name`.

    \b
      roost node ls 'site=plant-7,gpu in (t4,a10)'
      roost node ls --json | jq -r '.[] | select(.state != "live") | .node'
    """
    answers = ask_each(
        setup, selector, lambda entry, client: look_at(entry, client, timeout=setup.timeout)
    )
    records = [record_of(answer) for answer in answers]
    if as_json:
        print_json(records)
    else:
        columns = (*_COLUMNS, *_WIDE) if wide else _COLUMNS
        rows = [_row(record)[: len(columns)] for record in records]
        # Who asks for all gets it, on lines that the terminal must wrap.
        print_table(columns, rows, limit=NO_LIMIT if wide else 0)
    return conclude(answers)


def _row(record: NodeRecord) -> Row:
    labels = " ".join(f"{key}={value}" for key, value in sorted(record.labels.items()))
    if record.live is None or record.facts is None:
        unknown = [UNKNOWN] * 8
        first = (record.node, marks(record, record.facts), record.state)
        return (*first, *unknown, *[UNKNOWN] * 5, labels or UNKNOWN, record.address)
    live, facts = record.live, record.facts
    runtime = facts.runtime
    return (
        record.node,
        marks(record, record.facts),
        record.state,
        *driver(facts.gpu_stack),
        gpu_words(live, record.gpus),
        *load(record.gpus),
        container_count(live, record.containers),
        findings(record.findings),
        f"{runtime.name} {runtime.version}" if runtime.name else runtime.state.replace("_", " "),
        f"{facts.host.os} {facts.host.architecture}",
        facts.agent.version,
        UNKNOWN if live.cpu_percent is None else f"{live.cpu_percent}%",
        UNKNOWN if live.disk_free_percent is None else f"{live.disk_free_percent}%",
        labels or UNKNOWN,
        record.address,
    )
