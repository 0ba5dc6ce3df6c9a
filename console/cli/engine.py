"""`roost engine`: TensorRT engines."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "build": ("console.cli.engine_build", "build the engine of a recipe on a node"),
    "ls": ("console.cli.engine_ls:ls", "list the engines that nodes have"),
    "show": ("console.cli.engine_ls:show", "say what the engines of a model were built from"),
}


@click.group("engine", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Build TensorRT engines on the nodes that will run them, and see which node has what."""
