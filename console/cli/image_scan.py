"""`roost image scan`: which advisories are about the packages of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import click

from console.cli.image_options import is_archive
from console.cli.image_packages import read_packages
from console.cli.nodes import all_nodes, one_node, selected_nodes
from console.cli.options import complete_selector, json_option
from console.cli.output import say
from console.cli.reading_packages import name_of, read_groups, read_nodes, see
from console.cli.run import conclude
from console.cli.scan_out import Scanned, print_scan
from console.cli.setup import Setup
from console.images.osv import OsvAdvisory, check_readable, read_advisories
from console.images.running import groups_of
from console.images.sbom_reading import is_sbom, read_sbom
from console.images.severity import LEVELS, Level

ANY = "any"


@click.command("scan")
@click.argument("subject", metavar="ARCHIVE|SBOM|SELECTOR", shell_complete=complete_selector)
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
@click.option("--unused", is_flag=True, help="Of nodes, also images that no container runs.")
@click.option("--host", is_flag=True, help="Of nodes, also what is installed on themselves.")
@json_option
@click.pass_obj
def command(
    setup: Setup,
    subject: str,
    files: tuple[Path, ...],
    *,
    fail_on: str,
    unused: bool,
    host: bool,
    as_json: bool,
) -> int:
    """Compare the packages of images with advisories that lie in files.

    Of an ARCHIVE they are those that `image sbom` lists; an SBOM is one in SPDX that was made
    before; of nodes, a name or a selector, they are those of the images that containers run there,
    read by the nodes. Packages of a distribution are compared with its own advisories for the
    release, those of Python and npm by their names unless the distribution brought them. Nothing
    is known but what the files say. The exit code is 1 where an advisory is about a package, or
    where something could not be compared.
    """
    check_readable(files)
    failed = 0
    path = Path(subject)
    if is_sbom(path) or subject.endswith(".json"):
        subjects = [Scanned(name=each.name, found=each.found) for each in read_sbom(path)]
    elif is_archive(subject):
        subjects = [
            Scanned(name=each.name, digest=each.version, found=each.found)
            for each in read_packages(path)
        ]
    else:
        subjects, failed = _on_nodes(setup, subject, unused=unused, host=host)
    level = None if fail_on == ANY else cast("Level", fail_on)
    return print_scan(subjects, _advisories(files), fail_on=level, as_json=as_json) or failed


def _on_nodes(setup: Setup, subject: str, *, unused: bool, host: bool) -> tuple[list[Scanned], int]:
    """And the exit code, where some did not answer."""
    names = {entry.name for entry in all_nodes(setup)}
    entries = [one_node(setup, subject)] if subject in names else selected_nodes(setup, subject)
    answers = see(setup, entries)
    seen = {answer.entry.name: answer.value for answer in answers if answer.value is not None}
    groups = groups_of(seen, unused=unused)
    by_name = {entry.name: entry for entry in entries}
    found = read_groups(setup, by_name, groups)
    subjects = [
        Scanned(
            name=name_of(group, groups),
            digest=group.digest,
            found=found[group.digest],
            runs=group.runs,
        )
        for group in groups
    ]
    failed = conclude(answers)
    if host:
        own = read_nodes(setup, [by_name[name] for name in seen])
        subjects += [
            Scanned(name=each.entry.name, found=each.value)
            for each in own
            if each.value is not None
        ]
        failed = failed or conclude(own)
    if not subjects:
        say("nothing is compared: no container runs there; --unused takes every image")
    return subjects, failed


def _advisories(files: Sequence[Path]) -> Iterator[OsvAdvisory]:
    for file in files:
        yield from read_advisories(file)
