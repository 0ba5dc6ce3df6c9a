"""`roost node rm`: take a node out of the fleet."""

from __future__ import annotations

import click
import msgspec

from console.cli.nodes import fleet_file
from console.cli.options import json_option, node_argument
from console.cli.output import print_json, say
from console.cli.setup import Setup
from console.fleet.fleet_file import load_inventory, remove_node
from console.fleet.inventory import NodeEntry


class RemovedRecord(msgspec.Struct, kw_only=True):
    """What `--json` prints: the node as fleet.yaml had it."""

    entry: NodeEntry | None


@click.command("rm")
@node_argument
@json_option
@click.pass_obj
def command(setup: Setup, node: str, *, as_json: bool) -> None:
    """Take a node out of your fleet. Nothing changes on the node itself."""
    setup.refuse_changes("node rm")
    file = fleet_file(setup)
    name = node.removeprefix("@")
    entry = next((entry for entry in load_inventory(file).nodes if entry.name == name), None)
    remove_node(file, name)
    say(f"{name} is no longer in {file}")
    if entry is not None and entry.token_file is not None:
        say(f"its token is still in {file.parent / entry.token_file}")
    if as_json:
        print_json(RemovedRecord(entry=entry))
