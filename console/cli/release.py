"""`roost release`: a Compose file with `x-roost`, looked at before it goes anywhere."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "new": ("console.cli.release_new", "write a release of the reference detector"),
    "check": ("console.cli.release_check", "say all that is wrong with a release, or missing"),
    "diff": ("console.cli.release_diff", "say what changes from one release to another"),
}


@click.group("release", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Look at a release before it goes out.

    A release is a Compose file, or several that are merged: workloads, the variants of their
    images, how their engines are built, and under `x-roost: {rollout: ...}` how it goes out.
    Its version is of its content: the same files with the same variables have the same.
    """
