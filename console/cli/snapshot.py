"""`roost snapshot`: how a node is, in one file; what changed since; and back to it."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "take": ("console.cli.snapshot_take", "write how a node is into one file"),
    "show": ("console.cli.snapshot_show", "say what a snapshot holds"),
    "diff": ("console.cli.snapshot_diff", "say what changed since a snapshot"),
    "restore": ("console.cli.snapshot_restore", "bring a node back to a snapshot"),
}


@click.group("snapshot", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Take down how a node is, see what changed since, and bring a node back to it.

    A snapshot names secrets and never has their values.
    """
