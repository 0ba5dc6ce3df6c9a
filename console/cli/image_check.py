"""`roost image check`: what a push would do on each node; nothing changes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from agent.archives.index import ArchiveIndex
from agent.protocol.images import LoadPlan
from agent.protocol.problems import Problem
from console.cli import check_table
from console.cli.image_options import archives_argument, read_archives, to_option
from console.cli.nodes import selected_nodes
from console.cli.options import json_option
from console.cli.output import print_json
from console.cli.run import Answer, ask_nodes, conclude
from console.cli.setup import Setup
from console.cli.table import print_table
from console.fleet.inventory import NodeEntry
from console.images.push import Push
from console.images.rate import RateLimit


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
    """Say per node what would be sent, needed and freed. Nothing changes.

    SEND is before compression. NOW is the image that has the name on the node. NEED and FREE are
    of the disk with the least to spare; FREES is what would be removed to make room. The exit
    code is 1 where a push would be refused.
    """
    entries = selected_nodes(setup, selector)
    answers = check(setup, entries, read_archives(archives))
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
        refused = any(answer.value is not None and answer.value.problems for answer in answers)
    else:
        print_table(check_table.COLUMNS, check_table.rows(answers))
        refused = check_table.tell_reasons(answers)
    return conclude(answers) or int(refused)


def check(
    setup: Setup, entries: Sequence[NodeEntry], indexes: Sequence[ArchiveIndex]
) -> list[Answer[LoadPlan]]:
    """Each node's plan; nothing changes."""
    limit = RateLimit(None)
    return ask_nodes(
        setup,
        entries,
        lambda _, client: Push(client, indexes, limit=limit, random=random.Random()).check(),  # noqa: S311 - jitter
    )
