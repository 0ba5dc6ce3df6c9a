"""`roost workload`: what nodes should run, from Compose files."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "check": ("console.cli.workload_check", "say what a Compose file means on each node"),
}


@click.group("workload", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Have nodes run the services of Compose files."""
