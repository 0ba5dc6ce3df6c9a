"""`roost node add`: a node is written down once it has answered."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

import click
import msgspec

from agent.protocol.node import NodeFacts
from agent.protocol.problems import ProblemError
from console.cli.node_trust import kept_token, trusted_fingerprint
from console.cli.node_words import driver, stack_words
from console.cli.nodes import fleet_file
from console.cli.options import json_option, yes_option
from console.cli.output import print_json, say
from console.cli.run import links
from console.cli.setup import Setup
from console.fleet.fleet_file import NAME, add_node, load_inventory
from console.fleet.inventory import NodeEntry
from console.link.address import Address, parse_address
from console.text import plural
from console.tui.look.words import gpu_model

_LABEL = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?)=([A-Za-z0-9._-]*)")


class AddedRecord(msgspec.Struct, kw_only=True):
    """What `--json` prints: the node as fleet.yaml has it now, and what it said."""

    entry: NodeEntry
    facts: NodeFacts


@click.command("add")
@click.argument("address")
@click.option("--name", help="What you call it; what it calls itself, if not given.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="For selectors.")
@click.option("--production", is_flag=True, help="Mark it, and ask more before stopping things.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="https: a file with its token, yours alone (mode 0600).",
)
@click.option(
    "--token", "piped", type=click.Choice(["-"]), help="https: read the token from standard input."
)
@click.option("--fingerprint", metavar="sha256:...", help="https: what its certificate must be.")
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    address: str,
    *,
    name: str | None,
    labels: tuple[str, ...],
    production: bool,
    token_file: Path | None,
    piped: str | None,
    fingerprint: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Add a node to your fleet, once it has answered.

    ADDRESS is unix:///run/roost/agent.sock, ssh://user@host or https://host:7443. Over https
    you compare the fingerprint of its certificate with the one that `roost-agent check` prints
    on the node; from then on no other certificate is taken.

    Over ssh your own OpenSSH is used, with your keys and your ~/.ssh/config; it must log in
    without a question. ROOST_SSH in the environment is another command for it, such as
    ROOST_SSH="ssh -F ./site.conf".

    \b
      roost node add ssh://field@plant-7 --label site=plant-7
      roost node add https://10.0.0.7:7443 --token-file plant-7.token
    """
    setup.refuse_changes("node add")
    where = parse_address(address)
    file = fleet_file(setup)
    if name is not None:
        check_name(name)
    known = load_inventory(file).nodes
    if any(node.name == name for node in known):
        raise ProblemError(
            "fleet.node_exists",
            f"{file} has a node {name!r} already",
            params={"node": name},
            hint=f"Give another --name, or first: roost node rm {name}",
        )
    entry = NodeEntry(
        # Until it has told its own.
        name=name or where.host or "this machine",
        address=str(where),
        labels=dict(check_label(text) for text in labels),
        production=production,
    )
    with contextlib.ExitStack() as stack:
        if where.kind == "https":
            entry.fingerprint = trusted_fingerprint(
                links(setup), where, fingerprint, timeout=setup.timeout, yes=yes
            )
            if token_file is not None:
                entry.token_file = str(token_file.expanduser().absolute())
            else:
                entry.token_file = stack.enter_context(
                    kept_token(file.parent, where, entry.name, piped=piped is not None)
                )
        elif token_file or piped or fingerprint:
            raise click.UsageError("--token, --token-file and --fingerprint are for https:// only")
        facts = asyncio.run(_facts(setup, entry))
        if name is None:
            check_name(facts.name)
            entry.name = facts.name
        _show(entry, where, facts)
        add_node(file, entry)
    say(f"{entry.name} is now in {file}")
    if as_json:
        print_json(AddedRecord(entry=entry, facts=facts))


async def _facts(setup: Setup, entry: NodeEntry) -> NodeFacts:
    client = links(setup).client(entry)
    try:
        return await client.node()
    finally:
        await client.close()


def _show(entry: NodeEntry, address: Address, facts: NodeFacts) -> None:
    host, stack, runtime = facts.host, facts.gpu_stack, facts.runtime
    version, cuda = driver(stack)
    found = f"{version.text}, CUDA {cuda}" if stack.driver_version else stack.reason
    gpus = ", ".join(gpu_model(gpu.name) for gpu in facts.gpus)
    simulated = ", SIMULATED" if facts.agent.simulated else ""
    say(f"found {facts.name} at {address}, role {facts.agent.role or 'unknown'}{simulated}")
    say(f"  agent    {facts.agent.version} (API {facts.agent.api_version})")
    say(f"  host     {host.hostname}, {host.os}, {host.architecture}")
    say(f"  driver   {found or stack_words(stack.state)}")
    say(f"  gpus     {plural(len(facts.gpus), 'GPU')}{': ' if gpus else ''}{gpus}")
    if runtime.name:
        say(f"  runtime  {runtime.name} {runtime.version or ''}")
    else:
        say(f"  runtime  {runtime.reason or runtime.state.replace('_', ' ')}")
    if entry.production:
        say("  marked as production")


def check_name(name: str) -> None:
    """Raises ProblemError `console.usage` where a node cannot be called so."""
    if not NAME.fullmatch(name):
        raise ProblemError(
            "console.usage",
            f"{name[:80]!r} is not a name: letters, digits, dots and dashes, at most 63",
            hint="Give one with --name.",
        )


def check_label(text: str) -> tuple[str, str]:
    """KEY=VALUE as key and value. Raises click.BadParameter."""
    match = _LABEL.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--label")
    return match[1], match[2]
