"""`roost release check`: all that is wrong with a release, at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from agent.protocol.problems import Problem
from console.cli.options import json_option
from console.cli.output import print_json, say
from console.cli.release_reading import (
    Release,
    archive_option,
    read_release,
    read_supplies,
    with_problems,
)
from console.cli.run import Answer, ask_nodes
from console.cli.setup import Setup
from console.cli.table import NODE, Column, Row, print_table
from console.cli.workload_options import Asked, release_arguments, tell_problems
from console.compose.compose_file import NodeWorkloads
from console.compose.findings import ComposeProblem, gathered
from console.rollouts.needs import Look, Supplies, look_at, sends
from console.rollouts.planning import requests_for, with_measures
from console.rollouts.release_check import check_release
from console.text import plural, size

COLUMNS = (NODE, Column("SEND", right=True), Column("LACKS", least=30))


class NodeRecord(msgspec.Struct, kw_only=True):
    """A node as `--json` prints it."""

    node: str
    send_bytes: int = 0  # from the archives
    images: list[str] = []  # that come from the archives
    engines: list[str] = []  # models whose engine is to be built
    problems: list[Problem] = []  # why it cannot take the release, or did not answer
    warnings: list[str] = []  # what is to be known before, such as a metric that is not there


class ReleaseRecord(msgspec.Struct, kw_only=True):
    """As `--json` prints it. `version` None: the release cannot be read whole."""

    release: str
    version: str | None
    workloads: list[str]
    problems: list[ComposeProblem]
    nodes: list[NodeRecord] = []


@click.command("check")
@release_arguments
@archive_option
@json_option
@click.pass_obj
def command(setup: Setup, *, asked: Asked, archives: tuple[Path, ...], as_json: bool) -> int:
    """Say all that is wrong with the release in FILE, and what it lacks.

    No node is asked without --to. A variable counts as given where any node of fleet.yaml has it.
    With --archive, every image that it names has to be in one of the archives.

    With --to, what the release means on each of those nodes is checked, and each is asked what it
    lacks; what an archive has is sent by a rollout and not lacking. Nothing changes.

    The exit code is 1 where something is wrong; a warning is not.
    """
    release = read_release(setup, asked)
    supplies = read_supplies(setup, archives)
    means = _checked(release, supplies)
    refused = any(each.refused for each in means)
    version, requests = (None, {}) if refused else requests_for(means, release.strategy)
    asked_for = {
        name: with_measures(request, release.strategy.analysis)
        for name, request in requests.items()
    }
    answers = ask_nodes(
        setup,
        [] if refused else release.entries,
        lambda entry, client: look_at(client, asked_for[entry.name], supplies),
    )
    record = ReleaseRecord(
        release=means[0].project,
        version=version,
        workloads=[each.name for each in means[0].workloads],
        problems=_without_names(means),
        nodes=[_node(answer) for answer in answers],
    )
    wrong = refused or any(node.problems for node in record.nodes)
    if as_json:
        print_json(record)
        return int(wrong)
    tell_problems(means)
    if record.nodes:
        print_table(COLUMNS, [row for node in record.nodes for row in _rows(node)])
    if wrong or version is None:
        return 1
    count = plural(len(record.workloads), "workload")
    warnings = f", {plural(len(record.problems), 'warning')}" if record.problems else ""
    say(f"{record.release}@{version[:8]} can be let out: {count}{warnings}")
    return 0


def _checked(release: Release, supplies: Supplies | None) -> list[NodeWorkloads]:
    # A node may have what no archive has: it is asked.
    parcels = supplies.parcels if supplies and not release.entries else None
    return [
        with_problems(
            each,
            check_release(
                release.file,
                each,
                parcels=parcels,
                fleet=release.fleet,
                analysis=release.strategy.analysis,
            ),
        )
        for each in release.means
    ]


def _without_names(means: Sequence[NodeWorkloads]) -> list[ComposeProblem]:
    """Each problem once, with its nodes if they are nodes."""
    found = gathered((each.node, each.problems) for each in means)
    return [msgspec.structs.replace(each, nodes=tuple(filter(None, each.nodes))) for each in found]


def _node(answer: Answer[Look]) -> NodeRecord:
    name = answer.entry.name
    if answer.value is None:
        problem = answer.problem
        return NodeRecord(node=name, problems=[] if problem is None else [problem.problem()])
    needs = answer.value.needs
    return NodeRecord(
        node=name,
        send_bytes=needs.send_bytes,
        images=sends(needs),
        engines=[each.model for each in needs.builds],
        problems=needs.problems,
        warnings=[
            f"{each.name}: {text}" for each in needs.plan.workloads for text in each.warnings
        ],
    )


def _rows(node: NodeRecord) -> list[Row]:
    """One for each thing that it lacks; what is sent and built is no lack."""
    lacks = [problem.detail for problem in node.problems]
    if not lacks:
        comes = [f"{image} is sent" for image in node.images]
        comes += [f"the engine of {model} is built" for model in node.engines]
        lacks = [", ".join(["nothing", *comes])]
    lacks += [f"warning: {text}" for text in node.warnings]
    first = size(node.send_bytes) if node.send_bytes else ""
    return [
        (node.node if not number else "", first if not number else "", words)
        for number, words in enumerate(lacks)
    ]
