"""`roost gpu ls`: one line per GPU."""

from __future__ import annotations

import click
import msgspec

from agent.protocol.gpus import Gpu, GpuStackState
from agent.protocol.live import LiveGpu
from agent.protocol.problems import Problem
from console.cli.gpu_table import COLUMNS, gpu_row
from console.cli.look import Look, look_at
from console.cli.node_record import state_after
from console.cli.node_words import marks, stack_words
from console.cli.options import json_option, selector_argument
from console.cli.output import print_json
from console.cli.run import Answer, ask_each, conclude
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Column, Row, print_table


class GpuRecord(msgspec.Struct, kw_only=True):
    """A GPU as `--json` prints it.

    A node without any has one record with `gpu` None, and `stack_state` or `problem` says why.
    `gpu` is what it is, `live` what it does.
    """

    node: str
    production: bool
    problem: Problem | None = None
    stack_state: GpuStackState | None = None
    stack_reason: str | None = None
    gpu: Gpu | None = None
    live: LiveGpu | None = None


@click.command("ls")
@selector_argument
@json_option
@click.pass_obj
def command(setup: Setup, selector: str | None, *, as_json: bool) -> int:
    """List GPUs, with what they do now."""
    answers = ask_each(
        setup, selector, lambda entry, client: look_at(entry, client, timeout=setup.timeout)
    )
    found = [(answer, record) for answer in answers for record in _records(answer)]
    if as_json:
        print_json([record for _, record in found])
    else:
        columns = (NODE, Column("MARK"), *COLUMNS)
        print_table(columns, [_row(answer, record) for answer, record in found])
    return conclude(answers)


def _records(answer: Answer[Look]) -> list[GpuRecord]:
    look, problem = answer.value, answer.problem
    base = GpuRecord(node=answer.entry.name, production=answer.entry.production)
    if problem is not None:
        base.problem = problem.problem()
    if look is None:
        return [base]
    base.stack_state, base.stack_reason = look.live.gpu_state, look.live.gpu_reason
    facts = {gpu.index: gpu for gpu in look.facts.gpus}
    return [
        msgspec.structs.replace(base, gpu=facts.get(gpu.index), live=gpu) for gpu in look.gpus
    ] or [base]


def _row(answer: Answer[Look], record: GpuRecord) -> Row:
    mark = marks(answer.entry, answer.value.facts if answer.value else None)
    if record.live is not None:
        return (record.node, mark, *gpu_row(record.live))
    state, reason = "", record.stack_reason or ""
    if record.problem is not None:
        state = state_after(record.problem.code)
    elif record.stack_state is not None:
        state = stack_words(record.stack_state)
    return (record.node, mark, UNKNOWN, UNKNOWN, state, *[UNKNOWN] * 5, "", reason)
