"""`roost secret set|ls|rm`. A value comes from standard input or a prompt, never an argument."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import TypeVar

import click

from agent.protocol.node_secrets import SECRET_LIMIT_BYTES
from agent.protocol.problems import ProblemError
from console.cli.consent import consent
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument, yes_option
from console.cli.output import print_json, say
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.cli.table import Column, print_table
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient

T = TypeVar("T")

_COLUMNS = (Column("NAME", least=16), Column("SET"), Column("USED BY", least=12))
name_argument = click.argument("name", metavar="NAME")


@click.command("set")
@node_argument
@name_argument
@click.argument("more", nargs=-1, metavar="")
@yes_option
@click.pass_obj
def set_secret(setup: Setup, node: str, name: str, more: tuple[str, ...], *, yes: bool) -> None:
    """Keep a value on NODE under NAME, instead of the one that was there.

    The value is what comes on standard input, to the byte; on a terminal you are asked for it,
    and it is not shown. Containers that use it have it from their next start on.
    """
    if more:  # not repeated: it may be the value
        raise ProblemError(
            "console.usage",
            "a value is no argument: others on this machine could read it, and your shell keeps it",
            hint="Leave it out and you are asked for it, or give it on standard input.",
        )
    setup.refuse_changes("secret set")
    entry = one_node(setup, node)
    asks = sys.stdin.isatty()
    if not asks and entry.production and not yes:
        raise ProblemError(
            "console.terminal",
            f"{entry.name} is in production, and nobody can be asked: the value is on standard"
            " input",
            hint="Add --yes if it is meant.",
        )
    consent([entry], f"set the secret {name}", yes=yes)
    value = _typed(name) if asks else _read()
    kept = _ask(setup, entry, lambda client: client.secrets.set(name, value))
    say(f"{entry.name}: {kept.name} is set")
    if not asks and value.endswith(b"\n"):
        say("note: the value ends with a new line, which is part of it")
    for user in kept.used_by:
        restart = f"roost workload restart {entry.name} {user}"
        say(f"{user} has it from its next start on: {restart}")


@click.command("ls")
@node_argument
@json_option
@click.pass_obj
def list_secrets(setup: Setup, node: str, *, as_json: bool) -> None:
    """List the secrets of NODE by name, when each was set (UTC), and who uses it."""
    found = _ask(setup, one_node(setup, node), lambda client: client.secrets.list())
    if as_json:
        print_json(found)
        return
    print_table(
        _COLUMNS, [(each.name, _moment(each.set_at), ", ".join(each.used_by)) for each in found]
    )


@click.command("rm")
@node_argument
@name_argument
@yes_option
@click.pass_obj
def rm(setup: Setup, node: str, name: str, *, yes: bool) -> None:
    """Remove a secret from NODE. One that a workload uses stays."""
    setup.refuse_changes("secret rm")
    entry = one_node(setup, node)
    consent([entry], f"remove the secret {name}", yes=yes)
    _ask(setup, entry, lambda client: client.secrets.remove(name))
    say(f"{entry.name}: {name} is removed")


def _typed(name: str) -> bytes:
    value: str = click.prompt(
        f"value of {name}", hide_input=True, confirmation_prompt="the same again", err=True
    )
    return value.encode()


def _read() -> bytes:
    value = sys.stdin.buffer.read(SECRET_LIMIT_BYTES + 1)
    if len(value) > SECRET_LIMIT_BYTES:
        raise ProblemError(
            "console.usage",
            f"the value has more than {SECRET_LIMIT_BYTES // 1024} KiB",
            hint="Put what is larger into a file or a volume.",
        )
    return value


def _ask(setup: Setup, entry: NodeEntry, ask: Callable[[NodeClient], Awaitable[T]]) -> T:
    """Ask as an admin. A simulated node, which has none, is told as what it is."""
    try:
        return ask_one(setup, entry.name, lambda _, client: ask(client), admin=True)
    except ProblemError as problem:
        if problem.code != "link.socket_missing" or not _simulated(setup, entry):
            raise
    raise ProblemError(
        "secret.simulated",
        f"{entry.name} is simulated, and keeps no secrets",
        params={"node": entry.name},
        hint="Secrets are for real nodes.",
    )


def _simulated(setup: Setup, entry: NodeEntry) -> bool:
    try:
        return ask_one(setup, entry.name, lambda _, client: client.node()).agent.simulated
    except ProblemError:
        return False


def _moment(at: float) -> str:
    try:
        return f"{datetime.fromtimestamp(at, tz=timezone.utc):%Y-%m-%d %H:%M:%S}Z"
    except (ValueError, OverflowError, OSError):
        return "unknown"
