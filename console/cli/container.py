"""`roost container`: containers across the fleet, and work in one of them."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "ls": ("console.cli.container_ls", "list containers"),
    "logs": ("console.cli.container_logs", "print a container's output"),
    "exec": ("console.cli.container_exec", "run a command in a container"),
    "pin": ("console.cli.container_pin", "put a container on other GPUs"),
    "start": ("console.cli.container_act:start", "start a container"),
    "stop": ("console.cli.container_act:stop", "stop a container"),
    "restart": ("console.cli.container_act:restart", "stop a container and start it again"),
}


@click.group("container", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """List containers, read their logs, work in them.

    A container is named by its name, its id, or the start of its id.
    """
