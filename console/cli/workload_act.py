"""`roost workload rm|restart|undo|confirm|resolve`: one workload of one node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import click

from agent.protocol.deployments import AT_REST, Deployment, ResolveRequest
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from console.cli.consent import consent
from console.cli.deploying import Following, follow_one, problem_of
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument, yes_option
from console.cli.output import print_json, say
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.cli.workload_show import look, name_argument
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.text import clean


@click.command("rm")
@node_argument
@name_argument
@yes_option
@json_option
@click.pass_obj
def rm(setup: Setup, node: str, name: str, *, yes: bool, as_json: bool) -> None:
    """Stop and remove a workload's containers, the kept one too. Its volumes stay."""
    entry = _permitted(setup, node, name, "remove", yes=yes)
    _follow(setup, entry, lambda client, key: client.workloads.remove(name, key), as_json=as_json)


@click.command("restart")
@node_argument
@name_argument
@yes_option
@json_option
@click.pass_obj
def restart(setup: Setup, node: str, name: str, *, yes: bool, as_json: bool) -> None:
    """Restart a workload's container, and see whether it stays well and sees its GPUs.

    It has secrets that were set meanwhile, too.
    """
    entry = _permitted(setup, node, name, "restart", yes=yes)
    _follow(setup, entry, lambda client, key: client.workloads.restart(name, key), as_json=as_json)


@click.command("undo")
@node_argument
@name_argument
@yes_option
@json_option
@click.pass_obj
def undo(setup: Setup, node: str, name: str, *, yes: bool, as_json: bool) -> None:
    """Take a workload's newest deployment back, or its newest pin: what ran before runs again.

    It waits for nothing, also while the deployment is under way. `roost workload show` says what
    it would do.
    """
    setup.refuse_changes("workload undo")
    entry = one_node(setup, node)
    shown = look(setup, entry, name)
    say(f"{entry.name}: {name}: {shown.undo}")
    consent([entry], f"undo {name}", yes=yes)
    deployment = shown.deployment.id if shown.deployment is not None else None

    def begin(client: NodeClient, _: str) -> Awaitable[Job]:
        return client.workloads.undo(name, deployment)  # the one that was shown, or none

    _follow(setup, entry, begin, as_json=as_json)


@click.command("confirm")
@node_argument
@name_argument
@json_option
@click.pass_obj
def confirm(setup: Setup, node: str, name: str, *, as_json: bool) -> int:
    """Say that a workload's newest deployment may stay, and wait until it does.

    Said again, it answers what has become of it. The exit code is 1 where it was taken back.
    """
    setup.refuse_changes("workload confirm")
    entry = one_node(setup, node)
    following = Following()

    async def ask(_: NodeEntry, client: NodeClient) -> Deployment:
        deployment = await client.workloads.confirm_workload(name)
        if deployment.state not in AT_REST and deployment.job is not None:
            await following.see(entry.name, client, await client.job(deployment.job))
            deployment = await client.workloads.deployment(deployment.id)
        return deployment

    with following.told():
        deployment = ask_one(setup, entry.name, ask)
    if as_json:
        print_json(deployment)
    else:
        click.echo(clean(f"{entry.name}  {name}  {_became(deployment)}"))
    return int(deployment.state != "done")


@click.command("resolve")
@node_argument
@name_argument
@click.option(
    "--keep-old", "how", flag_value="keep-old", help="The containers before, run they or not."
)
@click.option(
    "--keep-new", "how", flag_value="keep-new", help="The new containers, are they well or not."
)
@click.option("--retry", "how", flag_value="retry", help="Try again what was tried.")
@yes_option
@json_option
@click.pass_obj
def resolve(
    setup: Setup,
    node: str,
    name: str,
    how: Literal["keep-old", "keep-new", "retry"] | None,
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """The way out where a deployment is stuck. `roost workload show` says why it is."""
    if how is None:
        raise ProblemError(
            "console.usage",
            "which way out is not said",
            hint="Add --keep-old, --keep-new or --retry.",
        )
    setup.refuse_changes("workload resolve")
    entry = one_node(setup, node)
    shown = look(setup, entry, name)
    if shown.deployment is not None and shown.deployment.problem is not None:
        say(f"{entry.name}: {name}: {shown.deployment.problem.detail}")
    consent([entry], f"resolve {name} with --{how}", yes=yes)
    _follow(
        setup,
        entry,
        lambda client, _: client.workloads.resolve(name, ResolveRequest(how=how)),
        as_json=as_json,
    )


def _permitted(setup: Setup, node: str, name: str, what: str, *, yes: bool) -> NodeEntry:
    setup.refuse_changes(f"workload {what}")
    entry = one_node(setup, node)
    consent([entry], f"{what} {name}", yes=yes)
    return entry


def _follow(
    setup: Setup,
    entry: NodeEntry,
    begin: Callable[[NodeClient, str], Awaitable[Job]],
    *,
    as_json: bool,
) -> None:
    job = follow_one(setup, entry, begin)
    problem = problem_of(job)
    if as_json:
        print_json(job)
    if problem is not None:
        raise problem
    if not as_json:
        for name, outcome in (job.result or {job.subject: "taken back"}).items():
            click.echo(clean(f"{entry.name}  {name}  {outcome or 'runs'}"))


def _became(deployment: Deployment) -> str:
    if deployment.state == "done":
        return "done: it stays"
    if deployment.state == "reverted":
        why = deployment.problem.detail if deployment.problem else deployment.history[-1].why
        return f"was taken back already: {why or 'nobody said why'}"
    return deployment.state
