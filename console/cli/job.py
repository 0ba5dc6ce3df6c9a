"""`roost job`: what nodes are at work on."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "ls": ("console.cli.job_ls", "list jobs"),
    "show": ("console.cli.job_show", "show everything about a job"),
    "log": ("console.cli.job_log", "print a job's log"),
    "cancel": ("console.cli.job_act:cancel", "cancel a job"),
    "retry": ("console.cli.job_act:retry", "do again what a job did not do"),
}


@click.group("job", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """See what nodes are at work on, cancel it, try it again.

    Jobs go on when the console goes. One is named by its id or the start of it, and is looked
    for on all nodes unless a selector says where.
    """
