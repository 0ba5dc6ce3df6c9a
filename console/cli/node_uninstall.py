"""`roost node uninstall`: the agent off a host; what it ran goes on."""

from __future__ import annotations

import asyncio
import sys

import click
import msgspec

from agent.protocol.problems import ProblemError
from console.cli.nodes import fleet_file
from console.cli.options import json_option, yes_option
from console.cli.output import print_json, say
from console.cli.run import links
from console.cli.setup import Setup
from console.fleet.fleet_file import load_inventory, remove_node
from console.fleet.inventory import NodeEntry
from console.fleet.selectors import unknown_node
from console.kits.uninstalling import Leaving, plan_uninstall, uninstall
from console.link.address import parse_address
from console.text import plural

PURGE_WORD = "purge"


class UninstallRecord(msgspec.Struct, kw_only=True):
    """What `--json` prints."""

    address: str
    node: str | None  # as fleet.yaml had it; None: it was not there
    purged: bool
    said: list[str]
    workloads: list[str] | None  # that stay; None: the agent did not say


@click.command("uninstall")
@click.argument("host", metavar="NODE|ssh://HOST")
@click.option("--purge", is_flag=True, help="Also its data, secrets and configuration.")
@yes_option
@json_option
@click.pass_obj
def command(setup: Setup, host: str, *, purge: bool, yes: bool, as_json: bool) -> int:
    """Take the agent off a host that ssh reaches, and the node out of your fleet.

    Containers and images stay as they are, also those that Roost placed: nobody watches them any
    more. Engines, models, secrets and configuration stay, too, unless --purge.
    """
    setup.refuse_changes("node uninstall")
    file = fleet_file(setup)
    entry = _entry(setup, host)
    ways = links(setup)
    leaving = asyncio.run(plan_uninstall(entry, ways))
    _show(entry, leaving, purge=purge)
    if not yes:
        _ask(entry, purge=purge)
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        say(f"{entry.name}: {line}")

    asyncio.run(uninstall(leaving, everything=purge, hear=hear))
    known = entry.name if any(n.name == entry.name for n in load_inventory(file).nodes) else None
    if known is not None:
        remove_node(file, known)
        say(f"{known} is no longer in {file}")
    if as_json:
        print_json(
            UninstallRecord(
                address=entry.address,
                node=known,
                purged=purge,
                said=said,
                workloads=leaving.workloads,
            )
        )
    return 0


def _entry(setup: Setup, host: str) -> NodeEntry:
    """As fleet.yaml has it, or a host that need not be there."""
    nodes = load_inventory(fleet_file(setup)).nodes
    if "://" in host:
        address = str(parse_address(host))
        there = [node for node in nodes if node.address == address]
        return there[0] if there else NodeEntry(name=address, address=address)
    name = host.removeprefix("@")
    found = [node for node in nodes if node.name == name]
    if not found:
        raise unknown_node(name, nodes)
    return found[0]


def _show(entry: NodeEntry, leaving: Leaving, *, purge: bool) -> None:
    mark = " PROD" if entry.production else ""
    say(f"{entry.name}{mark}: the agent goes; containers and images stay as they are")
    if leaving.workloads is None:
        say(f"  its agent does not say what it placed there: {leaving.silence}")
    elif leaving.workloads:
        count = plural(len(leaving.workloads), "workload")
        say(f"  {count} go on without anybody watching: {', '.join(leaving.workloads)}")
    gone = "also go" if purge else "stay"
    say(f"  /var/lib/roost and /etc/roost {gone}: engines, models, secrets, history, configuration")


def _ask(entry: NodeEntry, *, purge: bool) -> None:
    """Its name is typed; where data goes, a word for that."""
    if not sys.stdin.isatty():
        raise ProblemError(
            "console.terminal", "nobody can be asked here", hint="Add --yes if it is meant."
        )
    wanted = f"{PURGE_WORD} {entry.name}" if purge else entry.name
    typed = click.prompt(f"Type {wanted!r} to do it", err=True, default="", show_default=False)
    if typed.strip() != wanted:
        raise ProblemError(
            "console.usage", "that is not it, so nothing was done", hint="Run the command again."
        )
