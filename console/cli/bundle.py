"""`roost bundle`: images in one signed file, for a stick or a bad link."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "make": ("console.cli.bundle_make", "write a bundle from image archives"),
    "show": ("console.cli.bundle_show:show", "say what a bundle holds, and who signed it"),
    "verify": ("console.cli.bundle_verify", "read a whole bundle, and check it and its signature"),
    "diff": ("console.cli.bundle_show:diff", "say what two bundles differ in"),
    "push": ("console.cli.image_push", "bring the images of bundles to nodes"),
}


@click.group("bundle", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Carry images in one signed file, in which each layer is only once.

    On a node without a console: roost-agent bundle import PATH.
    """
