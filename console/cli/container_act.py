"""`roost container start|stop|restart`."""

from __future__ import annotations

from typing import Literal

import click
import msgspec

from agent.protocol.containers import ContainerChange
from console.cli.consent import consent
from console.cli.container_words import state
from console.cli.nodes import one_node
from console.cli.options import container_argument, json_option, node_argument, yes_option
from console.cli.output import print_json
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.text import clean

Action = Literal["start", "stop", "restart"]

_grace_option = click.option(
    "--timeout",
    "grace",
    type=click.IntRange(0, 600),
    metavar="SECONDS",
    help="How long it may take to stop before it is killed; what the container says, or 10.",
)


class ChangeRecord(msgspec.Struct, kw_only=True):
    """What `--json` prints: the container as it was read back after."""

    node: str
    change: ContainerChange


@click.command("start")
@node_argument
@container_argument
@json_option
@click.pass_obj
def start(setup: Setup, node: str, container: str, *, as_json: bool) -> int:
    """Start a container, and see whether it stays up."""
    return _act(setup, one_node(setup, node), container, "start", None, as_json=as_json)


@click.command("stop")
@node_argument
@container_argument
@_grace_option
@yes_option
@json_option
@click.pass_obj
def stop(
    setup: Setup, node: str, container: str, grace: int | None, *, yes: bool, as_json: bool
) -> int:
    """Stop a container. On a production node you are asked first."""
    entry = _permitted(setup, node, container, "stop", yes=yes)
    return _act(setup, entry, container, "stop", grace, as_json=as_json)


@click.command("restart")
@node_argument
@container_argument
@_grace_option
@yes_option
@json_option
@click.pass_obj
def restart(
    setup: Setup, node: str, container: str, grace: int | None, *, yes: bool, as_json: bool
) -> int:
    """Stop a container and start it again. On a production node you are asked first."""
    entry = _permitted(setup, node, container, "restart", yes=yes)
    return _act(setup, entry, container, "restart", grace, as_json=as_json)


def _permitted(setup: Setup, node: str, container: str, action: Action, *, yes: bool) -> NodeEntry:
    """The node, once a person has agreed.

    Raises:
        ProblemError: `console.terminal`, `console.usage`, and those of `one_node`.
    """
    setup.refuse_changes(f"container {action}")
    entry = one_node(setup, node)
    consent([entry], f"{action} {container}", yes=yes)
    return entry


def _act(
    setup: Setup,
    entry: NodeEntry,
    container: str,
    action: Action,
    grace: int | None,
    *,
    as_json: bool,
) -> int:
    setup.refuse_changes(f"container {action}")
    change = ask_one(
        setup,
        entry.name,
        lambda _, client: client.act(container, action, timeout_seconds=grace),
    )
    if as_json:
        print_json(ChangeRecord(node=entry.name, change=change))
    else:
        click.echo(clean(f"{entry.name}  {change.container.name}  {_outcome(change)}"))
    return _check(entry.name, change)


def _outcome(change: ContainerChange) -> str:
    found = state(change.container)
    return found if change.changed else f"{found} (it was so already)"


def _check(node: str, change: ContainerChange) -> int:
    """1, and why, where the container is not as it was wanted."""
    container = change.container
    up = container.state in {"running", "restarting", "paused"}
    if up == (change.action != "stop") and container.state != "restarting":
        return 0
    click.echo(
        clean(f"error: {node}: {container.name} is {state(container)} after {change.action}"),
        err=True,
    )
    click.echo(
        clean(f"hint: See why: roost container logs --tail 20 {node} {container.name}"), err=True
    )
    return 1
