"""`roost agent`: the program on the nodes."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "kit": ("console.cli.agent_kit", "make the file that puts the agent on a machine"),
    "upgrade": ("console.cli.agent_upgrade", "have nodes' agents become another version"),
}


@click.group("agent", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """The agents on nodes: what puts them there, and other versions of them."""
