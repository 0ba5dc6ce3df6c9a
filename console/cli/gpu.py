"""`roost gpu`: GPUs across the fleet."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup


@click.group(
    "gpu", cls=LazyGroup, lazy={"ls": ("console.cli.gpu_ls", "list GPUs, with what they do now")}
)
def command() -> None:
    """List GPUs."""
