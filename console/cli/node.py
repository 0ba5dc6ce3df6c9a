"""`roost node`: list, show, add and remove nodes."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "ls": ("console.cli.node_ls", "list nodes, with what their GPUs do now"),
    "show": ("console.cli.node_show", "show all that is known of one node"),
    "add": ("console.cli.node_add", "add a node to your fleet, once it has answered"),
    "install": ("console.cli.node_install", "put the agent on hosts that ssh reaches"),
    "support": ("console.cli.node_support", "put what a node knows of itself into one file"),
    "sbom": ("console.cli.node_sbom", "list what is installed on a node, as SPDX"),
    "drift": ("console.cli.node_drift", "say which nodes are not as fleet.yaml expects them"),
    "uninstall": ("console.cli.node_uninstall", "take the agent off a host, and leave the rest"),
    "rm": ("console.cli.node_rm", "take a node out of your fleet"),
}


@click.group("node", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """List, show, add and remove nodes."""
