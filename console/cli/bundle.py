"""`roost bundle`: images, models and releases in one signed file, for a stick or a bad link."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "make": ("console.cli.bundle_make", "write a bundle from a release or from image archives"),
    "show": ("console.cli.bundle_show:show", "say what a bundle holds, and who signed it"),
    "verify": ("console.cli.bundle_verify", "read a whole bundle, and check it and its signature"),
    "diff": ("console.cli.bundle_show:diff", "say what two bundles differ in"),
    "push": ("console.cli.image_push", "bring what bundles hold to nodes"),
    "ls": ("console.cli.bundle_files:ls", "list models and release files on nodes"),
    "rm": ("console.cli.bundle_files:rm", "remove a model or a release file from nodes"),
}


@click.group("bundle", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Carry images, models and releases in one signed file, each layer only once.

    On a node without a console: roost-agent bundle import PATH.
    """
