"""`roost image check`: what a push would do on each node; nothing changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from agent.archives.index import ArchiveIndex
from agent.protocol.images import LoadPlan
from agent.protocol.problems import Problem
from agent.protocol.site import SiteStatus
from console.cli import check_table
from console.cli.check_sites import tell_sites
from console.cli.image_options import archives_argument, read_archives, to_option
from console.cli.nodes import selected_nodes
from console.cli.options import json_option
from console.cli.output import print_json
from console.cli.room import room_option
from console.cli.run import Answer, ask_nodes, conclude
from console.cli.setup import Setup
from console.cli.table import print_table
from console.fleet.back_off import jitter
from console.fleet.inventory import NodeEntry
from console.images.push import Push
from console.images.rate import RateLimit
from console.images.sites import LABEL
from console.link.client import NodeClient


class CheckRecord(msgspec.Struct, kw_only=True):
    """A node as `--json` prints it; `plan` None: it did not answer."""

    node: str
    problem: Problem | None = None
    plan: LoadPlan | None = None
    site: SiteStatus | None = None  # whether it can be the seed of its site; None: it has none


@click.command("check")
@archives_argument
@to_option
@room_option
@json_option
@click.pass_obj
def command(
    setup: Setup, archives: tuple[Path, ...], selector: str, *, make_room: bool, as_json: bool
) -> int:
    """Say per node what would be sent, needed and freed. Nothing changes.

    SEND is before compression. NOW is the image that has the name on the node. NEED and FREE are
    of the disk with the least to spare, less what stays free whatever comes; FREES is what would
    be removed to make room: layers that are kept for later and, with --make-room, images. Below
    it says which sites can pass layers on (push --via-site). The exit code is 1 where a push
    would be refused; on a terminal, one that only wants --make-room asks for it.
    """
    entries = selected_nodes(setup, selector)
    sites: dict[str, SiteStatus] = {}
    answers = check(setup, entries, read_archives(archives), make_room=make_room, sites=sites)
    if as_json:
        print_json(
            [
                CheckRecord(
                    node=answer.entry.name,
                    problem=answer.problem.problem() if answer.problem else None,
                    plan=answer.value,
                    site=sites.get(answer.entry.name),
                )
                for answer in answers
            ]
        )
        refused = any(answer.value is not None and answer.value.problems for answer in answers)
    else:
        print_table(check_table.COLUMNS, check_table.rows(answers))
        refused = check_table.tell_reasons(answers)
        tell_sites(entries, sites)
    return conclude(answers) or int(refused)


def check(
    setup: Setup,
    entries: Sequence[NodeEntry],
    indexes: Sequence[ArchiveIndex],
    *,
    make_room: bool,
    sites: dict[str, SiteStatus] | None = None,
) -> list[Answer[LoadPlan]]:
    """Each node's plan, with or without the word to remove images; nothing changes.

    `sites` gets the site side of those that have a site.
    """
    limit = RateLimit(None)

    async def ask(entry: NodeEntry, client: NodeClient) -> LoadPlan:
        push = Push(client, indexes, limit=limit, make_room=make_room, random=jitter())
        if sites is not None and LABEL in entry.labels:
            sites[entry.name] = await client.sites.status()
        return await push.check()

    return ask_nodes(setup, entries, ask)
