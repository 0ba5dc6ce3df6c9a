"""`roost node sbom`: what is installed on a node and in the images that run there, as SPDX."""

from __future__ import annotations

from pathlib import Path

import click

from agent.protocol.packages import PackageList
from console.cli.new_file import check_new, force_option
from console.cli.nodes import one_node
from console.cli.options import node_argument
from console.cli.reading_packages import name_of, read_groups, read_nodes, see
from console.cli.run import conclude
from console.cli.sbom_out import output_option, write_sbom
from console.cli.setup import Setup
from console.images.running import groups_of
from console.images.spdx import Subject


@click.command("sbom")
@node_argument
@output_option
@force_option
@click.option("--no-images", is_flag=True, help="Only what is installed on the node itself.")
@click.pass_obj
def command(setup: Setup, node: str, file: Path | None, *, force: bool, no_images: bool) -> int:
    """List what is installed on NODE as an SPDX 2.3 document in JSON.

    It is what the node's own databases name, the projects of Python in its usual places and those
    of the agent, driver, toolkit and container runtime, and the packages of each image that a
    container runs there. The node reads them; nothing is started, and no network but the one to
    it is needed. The exit code is 1 where there may be more than were found.
    """
    entry = one_node(setup, node)
    if file is not None:
        check_new(file, force=force)
    (answer,) = read_nodes(setup, [entry])
    if answer.value is None:
        return conclude([answer])
    subjects = [of_node(entry.name, answer.value)]
    if not no_images:
        (seen,) = see(setup, [entry])
        if seen.value is None:
            return conclude([seen])
        groups = groups_of({entry.name: seen.value}, unused=False)
        found = read_groups(setup, {entry.name: entry}, groups)
        subjects += [
            Subject(name_of(group, groups), group.digest, "Image", found[group.digest])
            for group in groups
        ]
    return write_sbom(entry.name, subjects, file)


def of_node(name: str, found: PackageList) -> Subject:
    """A node in a document."""
    return Subject(name, f"{found.os_id} {found.os_version}".strip(), "Node", found)
