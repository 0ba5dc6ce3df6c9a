"""`roost agent kit make`."""

from __future__ import annotations

from pathlib import Path

import click

from console.cli.options import json_option
from console.cli.output import print_json, say
from console.kits.agent_image import make_agent_image
from console.kits.making import make_kit
from console.kits.reading import read_kit
from console.kits.wheels import ARCHES, PYTHONS
from console.text import size


@click.group("kit")
def command() -> None:
    """One file per architecture, for machines without a network."""


@command.command("make")
@click.option(
    "-o",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="FOLDER",
    help="Where to write the kits; here if not given.",
)
@click.option(
    "--arch",
    "arches",
    type=click.Choice(ARCHES),
    multiple=True,
    help="For this architecture; both if not given.",
)
@click.option(
    "--python",
    "pythons",
    type=click.Choice(PYTHONS),
    multiple=True,
    help="For this Python only; may be given again. All if not given.",
)
@click.option(
    "--wheels",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Take the wheels from there: no network.",
)
@click.option(
    "--image",
    "bases",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    metavar="ARCHIVE",
    help="Also an image with the kit in it, on top of the one in this archive, which has a Python.",
)
@json_option
def make(
    folder: Path,
    arches: tuple[str, ...],
    pythons: tuple[str, ...],
    wheels: Path | None,
    bases: tuple[Path, ...],
    *,
    as_json: bool,
) -> None:
    """Write a kit: the agent, what it needs, and what installs it, in one file.

    On the machine: sudo python3 roost-agent-VERSION-ARCH.pyz check, or install. The image is for
    `roost node install --image`, where Python is too old: no runtime is needed to make it.
    """
    if bases and len(bases) != len(arches):
        raise click.UsageError("give --arch for each --image, in the same order")
    made = []
    images = dict(zip(arches, bases, strict=True)) if bases else {}
    for arch in arches or ARCHES:
        path, about = make_kit(
            folder, arch=arch, pythons=pythons or PYTHONS, wheels=wheels, say=say
        )
        image = make_agent_image(read_kit(path), images[arch], folder) if arch in images else None
        made.append({"file": str(path), "bytes": path.stat().st_size, "kit": about, "image": image})
        if not as_json:
            click.echo(
                f"{path}: {size(path.stat().st_size)}, agent {about.id},"
                f" Python {', '.join(about.pythons)}, glibc {about.glibc} or newer"
            )
            if image is not None:
                click.echo(f"{image.path}: {size(image.size_bytes)}, image {image.tag}")
    if as_json:
        print_json(made)
