"""`roost release check`: all that is wrong with a release, at once."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from console.cli.options import json_option
from console.cli.output import print_json, say
from console.cli.release_reading import (
    Release,
    archive_option,
    read_parcels,
    read_release,
    with_problems,
)
from console.cli.setup import Setup
from console.cli.workload_options import Asked, release_arguments, tell_problems
from console.compose.compose_file import NodeWorkloads
from console.compose.findings import ComposeProblem, gathered
from console.rollouts.parcels import Parcels
from console.rollouts.planning import requests_for
from console.rollouts.release_check import check_release
from console.text import plural


class ReleaseRecord(msgspec.Struct, kw_only=True):
    """As `--json` prints it. `version` None: the release cannot be read whole."""

    release: str
    version: str | None
    workloads: list[str]
    problems: list[ComposeProblem]


@click.command("check")
@release_arguments
@archive_option
@json_option
@click.pass_obj
def command(setup: Setup, *, asked: Asked, archives: tuple[Path, ...], as_json: bool) -> int:
    """Say all that is wrong with the release in FILE, and what it lacks.

    No node is asked without --to. A variable counts as given where any node of fleet.yaml has it;
    with --to, what the release means on each of those nodes is checked. With --archive, every
    image that it names has to be in one of the archives.

    The exit code is 1 where something is wrong; a warning is not.
    """
    release = read_release(setup, asked)
    means = _checked(release, read_parcels(archives))
    refused = any(each.refused for each in means)
    version = None if refused else requests_for(means)[0]
    project = means[0].project
    if as_json:
        print_json(
            ReleaseRecord(
                release=project,
                version=version,
                workloads=[each.name for each in means[0].workloads],
                problems=gathered((each.node, each.problems) for each in means),
            )
        )
        return int(refused)
    tell_problems(means)
    if version is None:
        return 1
    warnings = len(gathered((each.node, each.problems) for each in means))
    say(
        f"{project}@{version[:8]} can be let out:"
        f" {plural(len(means[0].workloads), 'workload')}"
        + (f", {plural(warnings, 'warning')}" if warnings else "")
    )
    return 0


def _checked(release: Release, parcels: Parcels | None) -> list[NodeWorkloads]:
    return [
        with_problems(each, check_release(release.file, each, parcels=parcels, fleet=release.fleet))
        for each in release.means
    ]
