"""`roost workload`: what nodes should run, from Compose files."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "check": ("console.cli.workload_check", "say what a Compose file means on each node"),
    "apply": ("console.cli.workload_apply", "have nodes run what a Compose file says"),
    "ls": ("console.cli.workload_ls", "list workloads, and how their deployments are"),
    "show": ("console.cli.workload_show", "show one: its GPUs, its history, what undo would do"),
    "restart": ("console.cli.workload_act:restart", "restart one, and see whether it stays well"),
    "rm": ("console.cli.workload_act:rm", "stop and remove one; its volumes stay"),
    "undo": ("console.cli.workload_act:undo", "take the newest deployment or pin back"),
    "confirm": ("console.cli.workload_act:confirm", "say that a deployment may stay"),
    "resolve": ("console.cli.workload_act:resolve", "lead a stuck deployment out"),
}


@click.group("workload", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Have nodes run the services of Compose files."""
