"""`roost node rm`: take a node out of the fleet."""

from __future__ import annotations

import click

from console.cli.nodes import fleet_file
from console.cli.options import node_argument
from console.cli.output import say
from console.cli.setup import Setup
from console.fleet.fleet_file import load_inventory, remove_node


@click.command("rm")
@node_argument
@click.pass_obj
def command(setup: Setup, node: str) -> None:
    """Take a node out of your fleet. Nothing changes on the node itself."""
    setup.refuse_changes("node rm")
    file = fleet_file(setup)
    name = node.removeprefix("@")
    entry = next((entry for entry in load_inventory(file).nodes if entry.name == name), None)
    remove_node(file, name)
    say(f"{name} is no longer in {file}")
    if entry is not None and entry.token_file is not None:
        say(f"its token is still in {file.parent / entry.token_file}")
