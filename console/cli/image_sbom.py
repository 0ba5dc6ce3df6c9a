"""`roost image sbom`: which packages the images of an archive have, as SPDX."""

from __future__ import annotations

from pathlib import Path

import click

from console.cli.image_packages import read_packages
from console.cli.new_file import check_new, force_option
from console.cli.sbom_out import write_sbom


@click.command("sbom")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", "file", type=click.Path(path_type=Path), help="Write it there, not out."
)
@force_option
def command(archive: Path, file: Path | None, *, force: bool) -> int:
    """List the packages of the images in ARCHIVE as an SPDX 2.3 document in JSON.

    They are those that the images' own databases name: dpkg's, apk's, rpm's (since RHEL 9),
    Python's and npm's. What was copied in without one is not seen. Nothing is started, and no
    network is needed. The exit code is 1 where there may be more than were found: layers that
    are not in the archive or are damaged, databases that are not read, or none at all.
    """
    if file is not None:
        check_new(file, force=force)
    return write_sbom(archive.name, read_packages(archive), file)
