"""`roost rollout`: a release on many nodes, in waves."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "plan": ("console.cli.rollout_plan", "say which node gets a release when, and what happens"),
    "start": ("console.cli.rollout_start:start", "let a plan's release out"),
    "ls": ("console.cli.rollout_show:ls", "list the rollouts of this host"),
    "status": ("console.cli.rollout_show:status", "say how far a rollout is, node by node"),
    "watch": ("console.cli.rollout_watch", "follow what happens, until it ends"),
    "history": ("console.cli.rollout_show:history", "say what happened: who, when, why"),
    "pause": ("console.cli.rollout_wish:pause", "begin on no more nodes; what runs stays"),
    "resume": ("console.cli.rollout_wish:resume", "go on with one that is paused"),
    "promote": ("console.cli.rollout_wish:promote", "let the wave that runs through"),
    "abort": ("console.cli.rollout_wish:abort", "end it, and take back what is not confirmed"),
    "undo": ("console.cli.rollout_wish:undo", "take back one that has ended"),
    "retry": ("console.cli.rollout_wish:retry", "try the nodes again that do not run it"),
    "runner": ("console.cli.rollout_start:runner", "steer a rollout in this process"),
}


@click.group("rollout", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Let a release out on many nodes in waves, which come back by themselves.

    A release is a Compose file; `x-roost: {rollout: ...}` at its top says how it goes out.
    """
