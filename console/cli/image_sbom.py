"""`roost image sbom`: which packages an archive's images have, or one of a node, as SPDX."""

from __future__ import annotations

from pathlib import Path

import click

from agent.protocol.problems import ProblemError
from console.cli.image_options import is_archive
from console.cli.image_packages import read_packages
from console.cli.new_file import check_new, force_option
from console.cli.nodes import one_node
from console.cli.options import complete_node
from console.cli.reading_packages import read_image
from console.cli.sbom_out import output_option, write_sbom
from console.cli.setup import Setup
from console.images.holders import holders
from console.images.spdx import Subject


@click.command("sbom")
@click.argument("subject", metavar="ARCHIVE|NODE", shell_complete=complete_node)
@click.argument("image", required=False, metavar="[IMAGE]")
@output_option
@force_option
@click.pass_obj
def command(
    setup: Setup, subject: str, image: str | None, file: Path | None, *, force: bool
) -> int:
    """List the packages of the images in ARCHIVE, or of one of NODE, as SPDX 2.3 in JSON.

    They are those that the images' own databases name: dpkg's, apk's, rpm's (since RHEL 9),
    Python's and npm's. What was copied in without one is not seen. A node reads its image where
    it lies; nothing is started, and no registry is asked. The exit code is 1 where there may be
    more than were found: layers that are not in the archive or are damaged, databases that are
    not read, or none at all.
    """
    if file is not None:
        check_new(file, force=force)
    if image is not None:
        return write_sbom(image, [_of_node(setup, subject, image)], file)
    if not is_archive(subject):
        raise ProblemError(
            "console.usage",
            f"{subject}: there is no such file",
            hint=f"Of an image on a node: roost image sbom {subject} IMAGE."
            f" Of a node: roost node sbom {subject}.",
        )
    archive = Path(subject)
    return write_sbom(archive.name, read_packages(archive), file)


def _of_node(setup: Setup, node: str, image: str) -> Subject:
    entry = one_node(setup, node)
    seen, found = read_image(setup, entry, image)
    held = holders(image, {entry.name: seen.images})
    return Subject(image, held[0].digest if held else "", "Image", found)
