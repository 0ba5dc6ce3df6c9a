"""`roost bundle ls` and `roost bundle rm`: models and release files that lie on nodes."""

from __future__ import annotations

import time

import click
import msgspec

from agent.protocol.node_files import FOLDERS, FileRemoveRequest, PlacedFile
from agent.protocol.problems import Problem, ProblemError
from console.cli.consent import consent
from console.cli.image_options import to_option
from console.cli.nodes import selected_nodes
from console.cli.options import json_option, selector_argument, yes_option
from console.cli.output import print_json
from console.cli.run import Answer, ask_each, ask_nodes, conclude
from console.cli.setup import Setup
from console.cli.table import NODE, Column, print_table
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.text import age, size

_COLUMNS = (
    NODE,
    Column("FILE", least=24),
    Column("SIZE", right=True),
    Column("AGE", keep=6, right=True),
    Column("PATH", keep=5, least=20),
)
_REMOVED = (NODE, Column("FILE", least=24), Column("RESULT"))


class FileRecord(msgspec.Struct, kw_only=True):
    """A file on a node as `--json` prints it; `file` None: the node did not answer."""

    node: str
    problem: Problem | None = None
    file: PlacedFile | None = None


@click.command("ls")
@selector_argument
@json_option
@click.pass_obj
def ls(setup: Setup, selector: str | None, *, as_json: bool) -> int:
    """List the models and release files that bundles brought, and where they lie on the nodes."""
    answers = ask_each(setup, selector, lambda _, client: client.files.list())
    if as_json:
        print_json([record for answer in answers for record in _records(answer)])
    else:
        print_table(
            _COLUMNS,
            [
                (
                    answer.entry.name,
                    f"{each.kind} {each.name}",
                    size(each.size_bytes),
                    age(max(0.0, time.time() - each.modified_at)),
                    each.path,
                )
                for answer in answers
                for each in answer.value or ()
            ],
        )
    return conclude(answers)


@click.command("rm")
@click.argument("file", metavar="KIND/NAME")
@to_option
@yes_option
@json_option
@click.pass_obj
def rm(setup: Setup, file: str, selector: str, *, yes: bool, as_json: bool) -> int:
    """Remove a model or a release file from nodes: model/detector.onnx, release/app/app.yaml.

    Engines that were built from a model stay.
    """
    request = _asked(file)
    setup.refuse_changes("bundle rm")
    entries = selected_nodes(setup, selector)
    consent(entries, f"remove {request.kind} {request.name}", yes=yes)

    async def ask(_: NodeEntry, client: NodeClient) -> list[PlacedFile]:
        return await client.files.remove(request)

    answers = ask_nodes(setup, entries, ask)
    if as_json:
        print_json([record for answer in answers for record in _records(answer)])
    else:
        print_table(
            _REMOVED,
            [
                (
                    answer.entry.name,
                    f"{request.kind} {request.name}",
                    "failed" if answer.problem else "removed",
                )
                for answer in answers
            ],
        )
    return conclude(answers)


def _asked(file: str) -> FileRemoveRequest:
    kind, _, name = file.partition("/")
    for known in FOLDERS:
        if kind in (known, FOLDERS[known]) and name:
            return FileRemoveRequest(kind=known, name=name)
    raise ProblemError(
        "console.usage",
        f"{file!r} is no file of a bundle",
        hint="Write model/NAME or release/NAME; roost bundle ls lists them.",
    )


def _records(answer: Answer[list[PlacedFile]]) -> list[FileRecord]:
    if answer.problem is not None:
        return [FileRecord(node=answer.entry.name, problem=answer.problem.problem())]
    return [FileRecord(node=answer.entry.name, file=each) for each in answer.value or ()]
