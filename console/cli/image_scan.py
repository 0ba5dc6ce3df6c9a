"""`roost image scan`: which advisories are about the packages of an archive's images."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from agent.archives.package_lists import ImagePackages
from console.cli.image_packages import name_of, read_packages
from console.cli.options import json_option
from console.cli.output import print_json, say
from console.cli.table import Column, print_table
from console.images.advisories import Hit, Scan, read_advisories, scan
from console.text import clean, plural

_COLUMNS = (
    Column("IMAGE", keep=8, least=16),
    Column("ADVISORY"),
    Column("PACKAGE", least=16),
    Column("VERSION", least=12),
    Column("FIXED IN", least=12),
    Column("ALSO", keep=6, least=12),
)
NO_FIX = "-"


class ScanRecord(msgspec.Struct, kw_only=True):
    """An image as `--json` prints it."""

    image: str
    packages: int
    advisories: int  # that were read
    hits: list[Hit]
    unknown: list[str]


@click.command("scan")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option(
    "--advisories",
    "file",
    required=True,
    type=click.Path(path_type=Path),
    help="In OSV's format: a JSON file, or a zip archive of them.",
)
@json_option
def command(archive: Path, file: Path, *, as_json: bool) -> int:
    """Compare the packages of the images in ARCHIVE with advisories that lie in a file.

    Packages are those that `image sbom` lists. Those of Debian, Ubuntu and Alpine are compared by
    what they were built from and for the image's own release, those of Python by their names. No
    network is needed, and nothing is known but what the file says. The exit code is 1 where an
    advisory is about a package, or where something could not be compared.
    """
    records = [
        _record(name_of(image), found, scan(read_advisories(file), found))
        for image, found in read_packages(archive)
    ]
    if as_json:
        print_json(records)
    else:
        rows = [_row(record.image, hit) for record in records for hit in record.hits]
        if rows:
            print_table(_COLUMNS, rows)
        for record in records:
            _tell(record)
    return int(any(record.hits or record.unknown for record in records))


def _record(image: str, found: ImagePackages, told: Scan) -> ScanRecord:
    return ScanRecord(
        image=image,
        packages=len(found.packages),
        advisories=told.advisories,
        hits=told.hits,
        unknown=[*found.unknown, *told.unknown],
    )


def _row(image: str, hit: Hit) -> tuple[str, ...]:
    words = (image, hit.id, hit.package, hit.version, hit.fixed or NO_FIX, ", ".join(hit.also))
    return tuple(map(clean, words))


def _tell(record: ScanRecord) -> None:
    about = len({hit.package for hit in record.hits})
    say(
        f"{record.image}: {plural(len(record.hits), 'finding')} about {plural(about, 'package')}"
        f" of {record.packages}, by {record.advisories} advisories"
    )
    for reason in record.unknown:
        say(f"{record.image}: not compared: {reason}")
