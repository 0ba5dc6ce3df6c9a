"""`roost image ls`: images by nodes, and what differs where."""

from __future__ import annotations

import click
import msgspec

from agent.protocol.images import NodeImage
from agent.protocol.problems import Problem
from console.cli.check_table import short
from console.cli.options import json_option, selector_argument
from console.cli.output import on_terminal, print_json, say, width
from console.cli.run import Answer, ask_each, conclude
from console.cli.setup import Setup
from console.cli.table import UNKNOWN, Column, Row, cells, print_table
from console.images.matrix import ImageLine, SameImage, by_name, differing, lines_of
from console.text import clean, plural, size

_COLUMNS = (
    Column("IMAGE", least=24),
    Column("ID"),
    Column("SIZE", keep=6, right=True),
    Column("NODES", right=True),
    Column("ON", least=16),
    Column("USED BY", keep=5, least=12),
)
_NAMED = 20  # nodes that are counted out by their names
_IMAGE_CELLS = 16
_ID_CELLS = 12
UNASKED = "?"

Answers = list[Answer[list[NodeImage]]]


class ImageRecord(msgspec.Struct, kw_only=True):
    """An image on a node as `--json` prints it; `image` None: the node did not answer."""

    node: str
    problem: Problem | None = None
    image: NodeImage | None = None


@click.command("ls")
@selector_argument
@click.option(
    "--matrix/--list",
    "as_matrix",
    default=None,
    help="A column for each node, or a line for each image; the matrix where it fits.",
)
@json_option
@click.pass_obj
def command(setup: Setup, selector: str | None, *, as_matrix: bool | None, as_json: bool) -> int:
    """List images, and which nodes have them.

    In the matrix, a cell is the image that the name is there: one that is not like the others
    has a star. In the list, one name with several lines is several images.
    """
    answers = ask_each(setup, selector, lambda _, client: client.images())
    if as_json:
        print_json([record for answer in answers for record in _records(answer)])
        return conclude(answers)
    rows = by_name({answer.entry.name: answer.value or [] for answer in answers})
    if _fits(answers, rows) if as_matrix is None else as_matrix:
        columns = (
            Column("IMAGE", least=_IMAGE_CELLS),
            *(Column(answer.entry.name) for answer in answers),
        )
        print_table(columns, _matrix(answers, rows))
    else:
        print_table(_COLUMNS, _list(answers, rows))
    if found := differing(rows):
        say(f"{plural(len(found), 'name')} with different images: {', '.join(found)}")
    return conclude(answers)


def _records(answer: Answer[list[NodeImage]]) -> list[ImageRecord]:
    if answer.problem is not None:
        return [ImageRecord(node=answer.entry.name, problem=answer.problem.problem())]
    return [ImageRecord(node=answer.entry.name, image=image) for image in answer.value or ()]


def _fits(answers: Answers, rows: list[SameImage]) -> bool:
    """On a terminal, where names of images need not be cut too short."""
    wide = sum(max(_ID_CELLS + 1, cells(clean(answer.entry.name))) + 1 for answer in answers)
    longest = max((cells(clean(row.tag)) for row in rows), default=0)
    return on_terminal() and len(answers) > 1 and wide + min(longest, 2 * _IMAGE_CELLS) <= width()


def _matrix(answers: Answers, rows: list[SameImage]) -> list[Row]:
    """A line for each name; images without one have a line each."""
    names = [answer.entry.name for answer in answers]
    silent = {answer.entry.name for answer in answers if answer.problem is not None}

    def cell(line: ImageLine, node: str) -> str:
        if node in silent:
            return UNASKED
        image = line.on.get(node)
        if image is None:
            return UNKNOWN
        return short(image.id) + ("" if image is line.usual else "*")

    return [(line.tag or UNKNOWN, *(cell(line, name) for name in names)) for line in lines_of(rows)]


def _list(answers: Answers, rows: list[SameImage]) -> list[Row]:
    asked = [answer.entry.name for answer in answers if answer.problem is None]
    return [
        (
            row.tag or UNKNOWN,
            short(row.id),
            size(row.size_bytes),
            f"{len(row.nodes)}/{len(asked)}",
            _where(row.nodes, asked),
            ",".join(sorted(row.containers)),
        )
        for row in rows
    ]


def _where(nodes: list[str], asked: list[str]) -> str:
    """The nodes, or those without it where they are fewer."""
    lacking = [name for name in asked if name not in nodes]
    if len(asked) > 1 and not lacking:
        return "all"
    if lacking and 3 * len(lacking) < len(nodes) and len(lacking) <= _NAMED:
        return f"all but {','.join(lacking)}"
    return ",".join(nodes)
