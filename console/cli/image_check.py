"""`roost image check`: what a push would do on each node; nothing changes."""

from __future__ import annotations

import random
from pathlib import Path

import click
import msgspec

from agent.protocol.images import LoadPlan
from agent.protocol.problems import Problem
from console.cli.image_options import archives_argument, read_archives, to_option
from console.cli.options import json_option
from console.cli.output import print_json
from console.cli.run import Answer, ask_each, conclude
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Column, Row, print_table
from console.images.push import Push
from console.images.rate import RateLimit
from console.text import size

_COLUMNS = (
    NODE,
    Column("IMAGE", least=16),
    Column("WOULD"),
    Column("SEND", right=True),
    Column("NEED", keep=7, right=True),
    Column("FREE", keep=6, right=True),
    Column("FREES", keep=5, least=8),
    Column("PROBLEM", keep=8, least=16),
)
_WORDS = {"present": "nothing", "retag": "tag", "load": "load"}


class CheckRecord(msgspec.Struct, kw_only=True):
    """A node as `--json` prints it; `plan` None: it did not answer."""

    node: str
    problem: Problem | None = None
    plan: LoadPlan | None = None


@click.command("check")
@archives_argument
@to_option
@json_option
@click.pass_obj
def command(setup: Setup, archives: tuple[Path, ...], selector: str, *, as_json: bool) -> int:
    """Say per node what would be sent, needed and freed. SEND is before compression."""
    indexes = read_archives(archives)
    limit = RateLimit(None)
    answers = ask_each(
        setup,
        selector,
        lambda _, client: Push(client, indexes, limit=limit, random=random.Random()).check(),  # noqa: S311 - jitter
    )
    if as_json:
        print_json(
            [
                CheckRecord(
                    node=answer.entry.name,
                    problem=answer.problem.problem() if answer.problem else None,
                    plan=answer.value,
                )
                for answer in answers
            ]
        )
    else:
        print_table(_COLUMNS, [row for answer in answers for row in _rows(answer)])
    code = conclude(answers)
    refused = any(answer.value is not None and answer.value.problems for answer in answers)
    return code or int(refused)


def _rows(answer: Answer[LoadPlan]) -> list[Row]:
    plan = answer.value
    if plan is None:
        return [(answer.entry.name, UNKNOWN, UNKNOWN, *[UNKNOWN] * 3, "", "")]
    rows: list[Row] = []
    for number, image in enumerate(plan.images):
        first = number == 0
        lacking = sum(max(0, each.size_bytes - each.received_bytes) for each in plan.wanted)
        rows.append(
            (
                answer.entry.name,
                image.tags[0] if image.tags else image.config_digest[7:19],
                _WORDS[image.state],
                size(lacking) if first else "",
                size(sum(need.needed_bytes for need in plan.space)) if first else "",
                size(min((need.free_bytes for need in plan.space), default=None)) if first else "",
                ", ".join(f"{item.kind} {item.name[:24]}" for item in plan.frees) if first else "",
                "; ".join(problem.detail for problem in plan.problems) if first else "",
            )
        )
    return rows
