"""`roost engine`: TensorRT engines."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "build": ("console.cli.engine_build", "build the engine of a recipe on nodes"),
    "ls": ("console.cli.engine_ls:ls", "list the engines that nodes have"),
    "show": ("console.cli.engine_ls:show", "say what the engines of a model were built from"),
    "verify": ("console.cli.engine_act:verify", "try an engine again where it lies"),
    "use": ("console.cli.engine_act:use", "have a node use another of its engines"),
    "rm": ("console.cli.engine_act:rm", "remove an engine from a node"),
    "log": ("console.cli.engine_log", "print what an engine's builder printed"),
    "import": ("console.cli.engine_act:take_in", "take in an engine file that lies on a node"),
    "export": ("console.cli.engine_export", "write a Triton model repository here"),
    "bench": ("console.cli.engine_bench", "measure batch sizes and precisions on a node"),
}


@click.group("engine", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Build TensorRT engines on the nodes that will run them, and see which node has what."""
