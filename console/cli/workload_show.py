"""`roost workload show`: everything about one workload of one node."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import click
import msgspec

from agent.protocol.deployments import DeployedWorkload, Deployment, WorkloadStatus
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument
from console.cli.output import print_json
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.cli.table import UNKNOWN
from console.fleet.inventory import NodeEntry
from console.fleet.plan_words import goes_back_in, undo_words
from console.link.client import NodeClient
from console.text import age, clean, size

name_argument = click.argument("name", metavar="NAME")


class ShownWorkload(msgspec.Struct, kw_only=True):
    """What `--json` prints."""

    node: str
    workload: WorkloadStatus
    deployment: Deployment | None = None
    undo: str  # what `roost workload undo` would do, in words


@click.command("show")
@node_argument
@name_argument
@json_option
@click.pass_obj
def command(setup: Setup, node: str, name: str, *, as_json: bool) -> None:
    """Show a workload: its container, its GPUs, its newest deployment, and what undo would do.

    Times are of the node's clock, in UTC.
    """
    entry = one_node(setup, node)
    shown = look(setup, entry, name)
    if as_json:
        print_json(shown)
        return
    for title, text in facts_of(entry, shown):
        click.echo(f"{title:<12}{clean(text)}")


def look(setup: Setup, entry: NodeEntry, name: str) -> ShownWorkload:
    """Ask for the workload and its newest deployment. Raises ProblemError."""

    async def ask(_: NodeEntry, client: NodeClient) -> ShownWorkload:
        workload = await client.workloads.show(name)
        deployment = None
        if workload.deployment is not None:
            deployment = await client.workloads.deployment(workload.deployment)
        return ShownWorkload(
            node=entry.name,
            workload=workload,
            deployment=deployment,
            undo=undo_words(workload.name, deployment, can_undo=workload.can_undo),
        )

    return ask_one(setup, entry.name, ask)


def facts_of(entry: NodeEntry, shown: ShownWorkload) -> Iterator[tuple[str, str]]:
    """A title and a text each."""
    workload = shown.workload
    yield "node", f"{entry.name} PROD" if entry.production else entry.name
    yield "workload", workload.name
    yield "release", workload.release or UNKNOWN
    yield "state", workload.state
    yield "container", workload.container or UNKNOWN
    if workload.engine is not None:
        yield "engine", workload.engine
    for gpu in workload.gpus:
        yield "gpu", f"{gpu}, by {workload.gpu_way.replace('_', ' ')}"
    if workload.memory_bytes is not None:
        yield "memory", f"{size(workload.memory_bytes)} reserved on each GPU"
    if workload.proxy is not None:
        yield "proxy", workload.proxy
    for each in (*workload.drift, *workload.proxy_wrong):
        yield "differs", each
    if shown.deployment is not None:
        part = next((p for p in shown.deployment.workloads if p.name == workload.name), None)
        yield from _deployment(shown.deployment, part)
    yield "undo", shown.undo


def _deployment(deployment: Deployment, part: DeployedWorkload | None) -> Iterator[tuple[str, str]]:
    if part is not None:
        if part.gpu_check:
            yield "gpu check", f"{part.gpu_check} ({part.gpu_checked.replace('_', ' ')})"
        for lost in part.lost:
            yield "lost", lost
    yield "deployment", f"{deployment.id}, {deployment.state}, by {deployment.owner}"
    if deployment.weight is not None:
        yield "weight", f"{deployment.weight} % of new requests go to the new container"
    if deployment.job is not None:
        yield "job", deployment.job
    for change in deployment.history:
        why = f": {change.why}" if change.why else ""
        yield "", f"{_moment(change.at)}  {change.state:<10}  {change.by}{why}"
    left = goes_back_in(deployment)
    if deployment.confirmed and deployment.state == "canary":
        yield "confirmed", "yes; it is done once it has been well for long enough"
    elif left is not None:
        yield "goes back", f"in {age(left)}, unless somebody confirms it"
    if deployment.problem is not None:
        yield "problem", f"{deployment.problem.detail} ({deployment.problem.code})"
        if deployment.problem.hint:
            yield "hint", deployment.problem.hint


def _moment(at: float) -> str:
    try:
        moment = datetime.fromtimestamp(at, tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        return "unknown"
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"
