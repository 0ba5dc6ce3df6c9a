"""A release as the verbs take it: read once, with all that is wrong in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from agent.protocol.problems import ProblemError
from console.cli.image_options import read_archives, read_judge
from console.cli.nodes import all_nodes, selected_nodes
from console.cli.setup import Setup
from console.cli.workload_options import Asked, meaning_anywhere, meaning_on
from console.compose.compose_file import ComposeFile, NodeWorkloads, read_compose
from console.compose.findings import ComposeProblem
from console.fleet.inventory import NodeEntry
from console.rollouts.needs import Supplies
from console.rollouts.parcels import Parcels
from console.rollouts.strategy import Strategy
from console.rollouts.strategy_file import read_strategy
from console.rollouts.unjudged import no_replay

archive_option = click.option(
    "--archive",
    "archives",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="An image archive or bundle that has images of the release; may come more than once.",
)


class Release(NamedTuple):
    """A release: for nodes where there are `entries`, else whatever the node."""

    file: ComposeFile
    strategy: Strategy
    entries: Sequence[NodeEntry]
    means: list[NodeWorkloads]
    """Of each node, or of any; the problems of the strategy are in each."""
    fleet: list[NodeEntry] | None
    """All nodes that there are; None: there is no fleet."""


def read_release(setup: Setup, asked: Asked) -> Release:
    """Read the files once. What is wrong in them is in the answer.

    Raises:
        ProblemError: `compose.*` where there is nothing to read, `console.usage`, `fleet.*`,
            `settings.*`.
    """
    entries = selected_nodes(setup, asked.selector) if asked.selector else []
    file = read_compose(*asked.files, profiles=asked.profiles)
    strategy, problems = read_strategy(file)
    means = (
        meaning_on(setup, asked, file, entries)
        if entries
        else [meaning_anywhere(setup, asked, file)]
    )
    replays = strategy.analysis.replays
    means = [
        with_problems(each, [*problems, *no_replay(replays, each, file=file.name)])
        for each in means
    ]
    return Release(file, strategy, entries, means, _fleet(setup))


def read_supplies(setup: Setup, archives: Sequence[Path]) -> Supplies | None:
    """The images of these archives, and what they need to run; None: there are none.

    Raises:
        ProblemError: `archive.*`, `compatibility.tables`.
    """
    if not archives:
        return None
    indexes = read_archives(archives)
    return Supplies(Parcels(indexes), read_judge(setup, indexes))


def with_problems(means: NodeWorkloads, problems: Sequence[ComposeProblem]) -> NodeWorkloads:
    """The same, and these are wrong as well."""
    return dataclasses.replace(means, problems=[*means.problems, *problems]) if problems else means


def _fleet(setup: Setup) -> list[NodeEntry] | None:
    try:
        return all_nodes(setup)
    except ProblemError as problem:
        if problem.code != "fleet.empty":
            raise
        return None
