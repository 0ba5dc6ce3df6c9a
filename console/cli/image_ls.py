"""`roost image ls`: one line per image, and which nodes have it."""

from __future__ import annotations

import click
import msgspec

from agent.protocol.images import NodeImage
from agent.protocol.problems import Problem
from console.cli.options import json_option, selector_argument
from console.cli.output import print_json
from console.cli.run import Answer, ask_each, conclude
from console.cli.setup import Setup
from console.cli.table import UNKNOWN, Column, Row, print_table
from console.text import size

_COLUMNS = (
    Column("IMAGE", least=24),
    Column("ID"),
    Column("SIZE", keep=6, right=True),
    Column("NODES", right=True),
    Column("ON", least=16),
    Column("USED BY", keep=5, least=12),
)
_SHOWN = 12


class ImageRecord(msgspec.Struct, kw_only=True):
    """An image on a node as `--json` prints it; `image` None: the node did not answer."""

    node: str
    problem: Problem | None = None
    image: NodeImage | None = None


@click.command("ls")
@selector_argument
@json_option
@click.pass_obj
def command(setup: Setup, selector: str | None, *, as_json: bool) -> int:
    """List images. One name with several lines is different images on different nodes."""
    answers = ask_each(setup, selector, lambda _, client: client.images())
    if as_json:
        print_json([record for answer in answers for record in _records(answer)])
    else:
        print_table(_COLUMNS, _rows(answers))
    return conclude(answers)


def _records(answer: Answer[list[NodeImage]]) -> list[ImageRecord]:
    if answer.problem is not None:
        return [ImageRecord(node=answer.entry.name, problem=answer.problem.problem())]
    return [ImageRecord(node=answer.entry.name, image=image) for image in answer.value or ()]


def _rows(answers: list[Answer[list[NodeImage]]]) -> list[Row]:
    asked = sum(answer.problem is None for answer in answers)
    found: dict[tuple[str, str], list[tuple[str, NodeImage]]] = {}
    for answer in answers:
        for image in answer.value or ():
            for tag in image.tags or [UNKNOWN]:
                identity = (tag, ",".join(image.diff_ids) + (image.config_digest or ""))
                found.setdefault(identity, []).append((answer.entry.name, image))
    rows: list[Row] = []
    for (tag, _), holders in sorted(found.items()):
        image = holders[0][1]
        names = [node for node, _ in holders]
        used = sorted({name for _, each in holders for name in each.containers})
        rows.append(
            (
                tag,
                (image.config_digest or image.id).removeprefix("sha256:")[:_SHOWN],
                size(image.size_bytes),
                f"{len(names)}/{asked}",
                ",".join(names),
                ",".join(used),
            )
        )
    return rows
