"""`roost key ls|trust|revoke`: the keys of one node."""

from __future__ import annotations

import click

from agent.protocol.signatures import TrustedKey
from console.cli.consent import consent
from console.cli.key_files import public_line
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument, yes_option
from console.cli.output import print_json, say
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.cli.table import UNKNOWN, Column, print_table

_COLUMNS = (
    Column("FINGERPRINT", least=24),
    Column("STATE"),
    Column("NAME", least=8),
    Column("FILE", keep=5, least=12),
)
key_argument = click.argument("key", metavar="KEY")


@click.command("ls")
@node_argument
@json_option
@click.pass_obj
def list_keys(setup: Setup, node: str, *, as_json: bool) -> None:
    """List the keys that NODE trusts, and those that were revoked there."""
    keys = ask_one(setup, node.removeprefix("@"), lambda _, client: client.trusted_keys())
    if as_json:
        print_json(keys)
        return
    print_table(_COLUMNS, [_row(key) for key in keys])
    for key in keys:
        if key.reason:
            say(f"{key.file}: {key.reason}")


@click.command("trust")
@node_argument
@key_argument
@yes_option
@json_option
@click.pass_obj
def trust(setup: Setup, node: str, key: str, *, yes: bool, as_json: bool) -> None:
    """Have NODE load what KEY has signed. KEY is a .pub file, or its line in quotes.

    It needs an admin: root or sudo on the node over ssh, an admin's token over https.
    """
    _change(setup, node, key, "trust", yes=yes, as_json=as_json)


@click.command("revoke")
@node_argument
@key_argument
@yes_option
@json_option
@click.pass_obj
def revoke(setup: Setup, node: str, key: str, *, yes: bool, as_json: bool) -> None:
    """Have NODE never load again what KEY has signed; what is loaded stays.

    KEY is a .pub file, its line in quotes, or the fingerprint that `roost key ls` shows, or the
    start of it. It needs an admin, as `trust` does.
    """
    _change(setup, node, key, "revoke", yes=yes, as_json=as_json)


def _change(setup: Setup, node: str, text: str, what: str, *, yes: bool, as_json: bool) -> None:
    setup.refuse_changes(f"key {what}")
    line = public_line(text)
    entry = one_node(setup, node)
    consent([entry], f"{what} the key {text}", yes=yes)
    key = ask_one(
        setup,
        entry.name,
        lambda _, client: client.trust_key(line) if what == "trust" else client.revoke_key(line),
        admin=True,
    )
    if as_json:
        print_json(key)
    else:
        say(f"{entry.name}: {key.fingerprint} ({key.name or 'without a name'}) is {key.state}")


def _row(key: TrustedKey) -> tuple[str, ...]:
    return key.fingerprint or UNKNOWN, key.state, key.name, key.file
