"""`roost engine log`: what the builder of an engine printed."""

from __future__ import annotations

import click

from agent.protocol.engines import EngineLog
from console.cli.engine_options import key_option, model_argument
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument
from console.cli.output import print_json, say
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient
from console.text import clean_output, size


@click.command("log")
@node_argument
@model_argument
@key_option
@json_option
@click.pass_obj
def command(setup: Setup, node: str, model: str, key: str | None, *, as_json: bool) -> int:
    """Print what the builder of an engine of MODEL on NODE printed.

    Without --key of the one in use, or else the newest.
    """
    entry = one_node(setup, node)

    async def read(_: NodeEntry, client: NodeClient) -> EngineLog:
        wanted = key
        if wanted is None:
            engines = await client.engines.show(model)
            wanted = next((e for e in engines if e.current), engines[0]).manifest.key
        return await client.engines.log(model, wanted)

    found = ask_one(setup, entry.name, read)
    if as_json:
        print_json(found)
        return 0
    if found.cut_bytes:
        say(f"the first {size(found.cut_bytes)} of {size(found.size_bytes)} are left out")
    for line in found.text.splitlines():
        click.echo(clean_output(line))
    return 0
