"""`roost image import`: archives that lie on a node."""

from __future__ import annotations

import secrets
import time
from contextlib import aclosing

import click

from agent.protocol.images import MADE_ROOM, ImportRequest, Medium
from agent.protocol.jobs import Job
from agent.protocol.problems import ProblemError
from console.cli.consent import consent
from console.cli.nodes import one_node
from console.cli.options import json_option, node_argument, yes_option
from console.cli.output import print_json, say
from console.cli.room import ask_after, may_ask, room_option
from console.cli.run import ask_one
from console.cli.setup import Setup
from console.cli.table import UNKNOWN, Column, print_table
from console.fleet.back_off import jitter
from console.fleet.inventory import NodeEntry
from console.images.following import see_through
from console.link.client import NodeClient
from console.text import age, clean, size

_COLUMNS = (
    Column("ARCHIVE", least=24),
    Column("SIZE", right=True),
    Column("AGE", keep=6, right=True),
    Column("ON", keep=5),
)


@click.command("import")
@node_argument
@click.argument("path", required=False)
@room_option
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup, node: str, path: str | None, *, make_room: bool, yes: bool, as_json: bool
) -> int:
    """Load the archive PATH that lies on NODE: on a USB stick, a card, a disk or a share.

    Without PATH: list the archives that the node found on removable media, on shares, and on
    disks mounted under /media, /mnt and /run/media. Where the node has no room without removing
    images, you are asked, unless --make-room says so.
    """
    entry = one_node(setup, node)
    if path is None:
        return _list(setup, entry, as_json=as_json)
    setup.refuse_changes("image import")
    consent([entry], f"load {path}", yes=yes)

    try:
        job = _load(setup, entry, ImportRequest(path=path, make_room=make_room))
    except ProblemError as problem:
        if make_room or not may_ask(yes=yes) or not ask_after(problem, entry.name):
            raise
        job = _load(setup, entry, ImportRequest(path=path, make_room=True))
    if as_json:
        print_json(job)
    else:
        for tag, image in job.result.items():
            click.echo(clean(f"{entry.name}  {tag}  {image}"))
    return 0


def _load(setup: Setup, entry: NodeEntry, request: ImportRequest) -> Job:
    """See it through, and tell its stages and what was removed for it."""

    async def load(_: NodeEntry, client: NodeClient) -> Job:
        job = await client.import_images(request, secrets.token_hex(16))
        stage = ""

        def seen(job: Job) -> None:
            nonlocal stage
            if job.stage and job.stage != stage:
                stage = job.stage
                say(f"{entry.name}: {stage}")

        job = await see_through(client, job, random=jitter(), seen=seen)
        if request.make_room:
            await _tell_removed(entry, client, job)
        return job

    return ask_one(setup, entry.name, load)


async def _tell_removed(entry: NodeEntry, client: NodeClient, job: Job) -> None:
    async with aclosing(client.job_log(job.id)) as batches:
        async for batch in batches:
            for line in batch if isinstance(batch, list) else ():
                if line.text.startswith(MADE_ROOM):
                    say(f"{entry.name}: {clean(line.text)}")


def _list(setup: Setup, entry: NodeEntry, *, as_json: bool) -> int:
    media = ask_one(setup, entry.name, lambda _, client: client.media())
    if as_json:
        print_json(media)
        return 0
    for medium in media:
        if medium.reason:
            say(f"{entry.name}: {medium.path}: {medium.reason}")
    print_table(
        _COLUMNS,
        [
            (found.path, size(found.size_bytes), age(time.time() - found.modified_at), _on(medium))
            for medium in media
            for found in medium.archives
        ],
    )
    return 0


def _on(medium: Medium) -> str:
    return f"{medium.device} {medium.filesystem}" if medium.device else UNKNOWN
