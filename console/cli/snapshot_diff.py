"""`roost snapshot diff`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from agent.protocol.problems import ProblemError
from agent.protocol.snapshots import NodeSnapshot
from console.cli.nodes import all_nodes
from console.cli.options import complete_node, json_option
from console.cli.output import print_json, say
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.snapshots.comparing import Change, difference, tells_values
from console.snapshots.folder import SUFFIX
from console.snapshots.snapshot_file import read_snapshot
from console.snapshots.words import diff_lines
from console.text import clean


class DiffRecord(msgspec.Struct, kw_only=True):
    """As `--json` prints it."""

    before: str
    after: str
    changes: list[Change]
    unknown: dict[str, str] = {}
    unchanged: list[str] = []  # of agent.yaml: keys whose values are withheld


@click.command("diff")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("other", metavar="NODE|FILE", shell_complete=complete_node)
@click.option("--exit-code", is_flag=True, help="End with 1 where something differs.")
@json_option
@click.pass_obj
def command(setup: Setup, file: Path, other: str, *, exit_code: bool, as_json: bool) -> int:
    """Say what changed from the snapshot in FILE to another one, or to how NODE is now.

    Driver and GPUs come first, then the runtime, workloads, images, engines, models, secrets and
    agent.yaml. Nothing changes.
    """
    first = read_snapshot(file).snapshot
    second = _other(setup, other, like=first)
    told = difference(first, second)
    found, unknown = told.changes, told.unknown
    names = str(file), other
    if as_json:
        record = DiffRecord(before=names[0], after=names[1], changes=found, unknown=unknown)
        record.unchanged = told.unchanged
        print_json(record)
    else:
        say(f"{names[0]} becomes {names[1]}")
        for line in diff_lines(found):
            click.echo(clean("  " * line.depth + line.text))
        if not found:
            click.echo("nothing of what is known differs" if unknown else "nothing differs")
        for key in told.unchanged:
            say(f"unchanged, value withheld: {key} of agent.yaml")
        for what, why in unknown.items():
            say(f"not known: {what}: {why}")
    return int(exit_code and bool(found))


def _other(setup: Setup, name: str, *, like: NodeSnapshot) -> NodeSnapshot:
    """A file by its name or path; a node goes before a file that is called as it is."""
    if "/" in name or name.endswith(SUFFIX) or (Path(name).exists() and not _is_node(setup, name)):
        return read_snapshot(Path(name)).snapshot

    async def ask(_: NodeEntry, client: NodeClient) -> NodeSnapshot:
        return await client.snapshots.take(environment=tells_values(like))

    return ask_one(setup, name, ask)


def _is_node(setup: Setup, name: str) -> bool:
    try:
        return any(entry.name == name for entry in all_nodes(setup))
    except ProblemError:
        return False  # two files are compared without a fleet, too
