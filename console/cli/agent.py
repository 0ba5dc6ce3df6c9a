"""`roost agent`: the program on the nodes."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "kit": ("console.cli.agent_kit", "make the file that puts the agent on a machine"),
}


@click.group("agent", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Make what puts the agent on nodes."""
