"""`roost image scan`: which advisories are about the packages of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import click

from console.cli.image_packages import read_packages
from console.cli.options import json_option
from console.cli.scan_out import Scanned, print_scan
from console.images.osv import OsvAdvisory, read_advisories
from console.images.sbom_reading import is_sbom, read_sbom
from console.images.severity import LEVELS, Level

ANY = "any"


@click.command("scan")
@click.argument("subject", metavar="ARCHIVE|SBOM")
@click.option(
    "--advisories",
    "files",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="In OSV's format: a JSON file, or a zip archive of them. May be given several times.",
)
@click.option(
    "--fail-on",
    type=click.Choice([ANY, *LEVELS]),
    default=ANY,
    show_default=True,
    help="The least severity that makes the exit code 1. What has none counts.",
)
@json_option
def command(subject: str, files: tuple[Path, ...], *, fail_on: str, as_json: bool) -> int:
    """Compare the packages of images with advisories that lie in files.

    Of an ARCHIVE they are those that `image sbom` lists; an SBOM is one in SPDX that was made
    before. Packages of a distribution are compared with its own advisories for the release,
    those of Python and npm by their names unless the distribution brought them. No network is
    needed, and nothing is known but what the files say. The exit code is 1 where an advisory is
    about a package, or where something could not be compared.
    """
    path = Path(subject)
    if is_sbom(path):
        subjects = [Scanned(name=each.name, found=each.found) for each in read_sbom(path)]
    else:
        subjects = [
            Scanned(name=each.name, digest=each.version, found=each.found)
            for each in read_packages(path)
        ]
    level = None if fail_on == ANY else cast("Level", fail_on)
    return print_scan(subjects, _advisories(files), fail_on=level, as_json=as_json)


def _advisories(files: Sequence[Path]) -> Iterator[OsvAdvisory]:
    for file in files:
        yield from read_advisories(file)
