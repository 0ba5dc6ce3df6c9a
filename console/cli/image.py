"""`roost image`: images across the fleet."""

from __future__ import annotations

import click

from console.cli.lazy import LazyGroup

_VERBS = {
    "ls": ("console.cli.image_ls", "list images, and which nodes have them"),
    "push": ("console.cli.image_push", "bring the images of archives to nodes"),
    "check": ("console.cli.image_check", "say what a push would send, need and free"),
    "sbom": ("console.cli.image_sbom", "list the packages of images, as SPDX"),
    "scan": ("console.cli.image_scan", "compare the packages of images with advisories"),
    "import": ("console.cli.image_import", "load an archive that lies on the node itself"),
    "build": ("console.cli.image_build", "build images of a matrix with a runtime"),
    "tag": ("console.cli.image_change:tag", "give an image one more name"),
    "rm": ("console.cli.image_change:rm", "remove images"),
}


@click.group("image", cls=LazyGroup, lazy=_VERBS)
def command() -> None:
    """Bring images to nodes that have no registry, and see which node has what."""
