"""`roost engine build --share`: who builds for whom, told before anything begins."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from agent.protocol.problems import ProblemError
from agent.protocol.site import SiteStatus
from console.cli.output import say, width
from console.cli.run import ask_nodes
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Column, fit
from console.engines.node_build import NodeBuild
from console.engines.sharing import Look, look, share
from console.engines.words import short_key
from console.fleet.back_off import jitter
from console.fleet.inventory import NodeEntry
from console.link.client import NodeClient

_COLUMNS = (
    NODE,
    Column("MODEL", least=12),
    Column("KEY"),
    Column("DOES", least=12),
    Column("WHY", least=12),
)


def tell_shares(setup: Setup, builds: Sequence[NodeBuild]) -> None:
    """Ask each node which engines these would be there, say who takes whose, and print that.

    Printed on standard error: standard output is for how it went.
    """
    if not builds:
        return
    entries = list({build.entry.name: build.entry for build in builds}.values())

    async def ask(entry: NodeEntry, client: NodeClient) -> tuple[list[Look], SiteStatus | None]:
        looks = [
            await look(client, build.request, secrets.token_hex(16), random=jitter())
            for build in builds
            if build.entry is entry
        ]
        try:
            status = await client.sites.status()
        except ProblemError:
            status = None
        return looks, status

    say("asking each node which engine it would have")
    looks: dict[int, Look] = {}
    sites: dict[str, SiteStatus] = {}
    for answer in ask_nodes(setup, entries, ask):
        its = [build for build in builds if build.entry is answer.entry]
        if answer.value is None:
            why = answer.problem.detail if answer.problem is not None else ""
            looks |= {id(build): Look(alone=why) for build in its}
            continue
        seen, status = answer.value
        looks |= {id(build): each for build, each in zip(its, seen, strict=True)}
        if status is not None:
            sites[answer.entry.name] = status
    rows = [
        (each.node, each.model, short_key(each.key) if each.key else UNKNOWN, each.does, each.why)
        for each in share(builds, [looks[id(build)] for build in builds], sites)
    ]
    for line in fit(_COLUMNS, rows, width()):
        say(line)
