"""`roost image push`: the images of archives to every selected node."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from agent.archives.index import ArchiveIndex
from agent.protocol.problems import Problem
from console.cli.consent import consent
from console.cli.image_options import archives_argument, read_archives, to_option
from console.cli.nodes import selected_nodes
from console.cli.options import json_option, yes_option
from console.cli.output import print_json, say
from console.cli.push_display import PushDisplay
from console.cli.run import Answer, conclude, links
from console.cli.setup import Setup
from console.cli.table import NODE, UNKNOWN, Column, Row, print_table
from console.fleet.inventory import NodeEntry
from console.fleet.links import Links
from console.images.push import Push, PushState
from console.images.rate import RateLimit, parse_rate
from console.text import age, size

# All share this console's uplink; more at once would only make each slower to be done.
NODES_AT_ONCE = 16

_COLUMNS = (
    NODE,
    Column("RESULT"),
    Column("SENT", right=True),
    Column("TIME", keep=6, right=True),
    Column("IMAGES", least=16),
)


class PushRecord(msgspec.Struct, kw_only=True):
    """A node as `--json` prints it."""

    node: str
    result: str  # "done", "failed"
    sent_bytes: int
    seconds: float
    job: str | None = None
    images: dict[str, str] = {}  # tag: id there
    problem: Problem | None = None


@click.command("push")
@archives_argument
@to_option
@click.option("--limit", metavar="RATE", help="At most so much a second in all, as 2MB/s.")
@yes_option
@json_option
@click.pass_obj
def command(
    setup: Setup,
    archives: tuple[Path, ...],
    selector: str,
    limit: str | None,
    *,
    yes: bool,
    as_json: bool,
) -> int:
    """Bring the images of ARCHIVEs to nodes. Only layers that a node lacks are sent.

    What was sent is kept: after a cut, or when this command is ended and run again, it goes on
    where it stopped.
    """
    setup.refuse_changes("image push")
    rate = RateLimit(None if limit is None else parse_rate(limit))
    entries = selected_nodes(setup, selector)
    indexes = read_archives(archives)
    consent(entries, f"load {', '.join(path.name for path in archives)}", yes=yes)
    records = asyncio.run(_push_all(links(setup), entries, indexes, rate))
    if as_json:
        print_json([record for record, _ in records])
    else:
        print_table(_COLUMNS, [_row(record) for record, _ in records])
    return conclude(
        [
            Answer(entry, state, state.problem)
            for entry, (_, state) in zip(entries, records, strict=True)
        ]
    )


async def _push_all(
    ways: Links, entries: Sequence[NodeEntry], indexes: Sequence[ArchiveIndex], limit: RateLimit
) -> list[tuple[PushRecord, PushState]]:
    gate = asyncio.Semaphore(NODES_AT_ONCE)
    display = PushDisplay()

    async def one(entry: NodeEntry) -> tuple[PushRecord, PushState]:
        async with gate:
            started = time.monotonic()
            client = ways.client(entry)
            push = Push(client, indexes, limit=limit, random=random.Random())  # noqa: S311 - jitter
            display.add(push.state)
            try:
                state = await push.run()
            finally:
                await client.close()
            return _record(state, time.monotonic() - started), state

    async with display:
        try:
            return await asyncio.gather(*map(one, entries))
        except asyncio.CancelledError:
            say("stopped; the nodes keep what they have: run the same command to go on")
            raise


def _record(state: PushState, seconds: float) -> PushRecord:
    return PushRecord(
        node=state.node,
        result=state.stage,
        sent_bytes=state.sent_bytes,
        seconds=round(seconds, 1),
        job=None if state.job is None else state.job.id,
        images=state.images,
        problem=None if state.problem is None else state.problem.problem(),
    )


def _row(record: PushRecord) -> Row:
    images = ", ".join(f"{tag} {_short(name)}" for tag, name in record.images.items())
    there = record.result == "done" and record.job is None
    return (
        record.node,
        "was there" if there else record.result,
        size(record.sent_bytes),
        age(record.seconds),
        images or UNKNOWN,
    )


def _short(image_id: str) -> str:
    return image_id.removeprefix("sha256:")[:12]
