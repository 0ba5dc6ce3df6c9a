"""`roost container ls`: one line per container."""

from __future__ import annotations

import time

import click
import msgspec

from agent.protocol.live import LiveContainer
from agent.protocol.node import RuntimeState
from agent.protocol.problems import Problem
from console.cli.container_words import gpus, image, state, used_memory
from console.cli.look import Look, look_at
from console.cli.node_record import state_after
from console.cli.node_words import marks
from console.cli.options import json_option, selector_argument
from console.cli.output import print_json
from console.cli.run import Answer, ask_each, conclude
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Cell, Column, Row, print_table
from console.text import age

_COLUMNS = (
    NODE,
    Column("MARK"),
    Column("CONTAINER", least=20),
    Column("STATE", least=10),
    Column("UP", keep=6),
    Column("CPU", keep=5, right=True),
    Column("MEM", keep=4, right=True),
    Column("GPUS", keep=7, least=6),
    Column("IMAGE", keep=8, least=12),
    Column("PORTS", keep=2, least=12),
    Column("REASON", keep=8, least=12),
)


class ContainerRecord(msgspec.Struct, kw_only=True):
    """A container as `--json` prints it.

    A node that did not answer, or whose runtime did not, has one record with `container` None.
    """

    node: str
    production: bool
    problem: Problem | None = None
    runtime_state: RuntimeState | None = None
    runtime_reason: str | None = None
    container: LiveContainer | None = None


@click.command("ls")
@selector_argument
@json_option
@click.pass_obj
def command(setup: Setup, selector: str | None, *, as_json: bool) -> int:
    """List containers, also those that do not run."""
    answers = ask_each(
        setup, selector, lambda entry, client: look_at(entry, client, timeout=setup.timeout)
    )
    found = [(answer, record) for answer in answers for record in _records(answer)]
    if as_json:
        print_json([record for _, record in found])
    else:
        print_table(_COLUMNS, [_row(answer, record) for answer, record in found])
    return conclude(answers)


def _records(answer: Answer[Look]) -> list[ContainerRecord]:
    entry, look = answer.entry, answer.value
    base = ContainerRecord(node=entry.name, production=entry.production)
    if answer.problem is not None:
        return [msgspec.structs.replace(base, problem=answer.problem.problem())]
    if look is None:
        return []
    base.runtime_state, base.runtime_reason = look.live.runtime_state, look.live.runtime_reason
    if base.runtime_state not in {"ok", "simulated"}:
        return [base]
    return [msgspec.structs.replace(base, container=container) for container in look.containers]


def _row(answer: Answer[Look], record: ContainerRecord) -> Row:
    look = answer.value
    mark = marks(answer.entry, look.facts if look else None)
    container = record.container
    if container is None or look is None:
        word, reason = "", record.runtime_reason or ""
        if record.problem is not None:
            word = state_after(record.problem.code)
        elif record.runtime_state is not None:
            word = f"runtime {record.runtime_state.replace('_', ' ')}"
        return (record.node, mark, UNKNOWN, word, *[UNKNOWN] * 5, "", reason)
    cpu = container.cpu_percent
    return (
        record.node,
        mark,
        container.name,
        state(container),
        _up(container),
        UNKNOWN if cpu is None else f"{cpu}%",
        used_memory(container),
        gpus(container, look.facts),
        Cell(container.image, image(container.image)),
        ",".join(container.ports),
        "",
    )


def _up(container: LiveContainer) -> str:
    if container.state != "running" or container.started_at is None:
        return UNKNOWN
    return age(time.time() - container.started_at)
